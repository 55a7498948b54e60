import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Both ends of a connection of our own. */
export async function socketPair(): Promise<[client: Socket, server: Socket]> {
  const folder = mkdtempSync(join(tmpdir(), 'pirqlab-pair-'));
  const listener = createServer();
  try {
    const accepted = new Promise<Socket>((resolve) => listener.once('connection', resolve));
    await new Promise<void>((resolve) => listener.listen(join(folder, 's'), resolve));
    const client = connect(join(folder, 's'));
    return [client, await accepted];
  } finally {
    listener.close();
    rmSync(folder, { recursive: true });
  }
}
