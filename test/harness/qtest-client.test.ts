import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { QtestClient, QtestError } from '../../src/harness/qtest-client.ts';
import { socketPair } from './socket-pair.ts';

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

/** A client, and what the other side has been sent; each complete line is answered by `answer`, if it gives a text. */
async function connectTo(answer: (line: string) => string | undefined, timeoutMs?: number) {
  const [ours, theirs] = await socketPair();
  open.push(ours, theirs);
  const lines: string[] = [];
  let rest = '';
  theirs.setEncoding('latin1').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      const reply = answer(line);
      if (reply !== undefined) theirs.write(reply);
    }
  });
  return { client: new QtestClient(ours, timeoutMs === undefined ? {} : { timeoutMs }), theirs, lines };
}

describe('commands', () => {
  test('are written as QEMU reads them', async () => {
    const { client, lines } = await connectTo((line) => (line.startsWith('b64read') ? 'OK AAE=\n' : 'OK 0x0\n'));
    await Promise.all([
      client.out(0xcf8, 4, 0x8000_2000),
      client.out(0xcfc, 1, 0xff),
      client.in(0xcfd, 2),
      client.read(0xb000_0003, 1),
      client.write(0xfee0_0000, 4, -1),
      client.write64(0x1000, 0xffff_ffff_ffff_fffen),
      client.read64(0x2000),
      client.readBytes(0x3000, 2),
      client.writeBytes(0x3000, Uint8Array.of(1, 2, 3)),
      client.clockStep(),
      client.clockStep(500),
      client.interceptIn('/machine/q35'),
    ]);
    expect(lines).toEqual([
      ...['outl 0xcf8 0x80002000', 'outb 0xcfc 0xff', 'inw 0xcfd', 'readb 0xb0000003'],
      ...['writel 0xfee00000 0xffffffff', 'writeq 0x1000 0xfffffffffffffffe', 'readq 0x2000'],
      ...['b64read 0x3000 0x2', 'b64write 0x3000 0x3 AQID', 'clock_step', 'clock_step 500'],
      'irq_intercept_in /machine/q35',
    ]);
  });

  test('get their answers in order, however these are cut into packets', async () => {
    const { client, theirs } = await connectTo(() => undefined);
    const answers = [client.in(0xcfc, 4), client.read64(8), client.readBytes(0, 3), client.command('x')];
    for (const piece of ['OK 0x80', '86\nOK 0xffffffff', 'fffffffe\nOK AQID\n', 'O', 'K\n']) {
      theirs.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await Promise.all(answers)).toEqual([0x8086, 0xffff_ffff_ffff_fffen, Uint8Array.of(1, 2, 3), '']);
  });

  test('may be refused, one by one', async () => {
    const { client } = await connectTo((line) => (line.startsWith('clock') ? 'FAIL Unknown command\n' : 'OK 0x7\n'));
    const refused = client.clockStep(1);
    const fine = client.in(0x80, 1);
    await expect(refused).rejects.toThrow('QEMU answers "clock_step 1" with "FAIL Unknown command"');
    await expect(refused).rejects.toBeInstanceOf(QtestError);
    expect(await fine).toBe(7);
  });

  test('are not confused by interrupts in between', async () => {
    const { client } = await connectTo(() => 'IRQ raise 11\nOK 0x5\nIRQ lower 11\n');
    expect(await client.in(0x60, 1)).toBe(5);
    expect(await client.in(0x60, 1)).toBe(5);
    expect(client.irqs.slice(0, 3)).toEqual(['raise 11', 'lower 11', 'raise 11']);
  });

  test('refuse a block of the wrong length', async () => {
    const { client } = await connectTo(() => 'OK AQID\n');
    await expect(client.readBytes(0, 4)).rejects.toThrow('3 bytes of 4');
  });
});

describe('an end', () => {
  test('comes after silence, for everything outstanding and all that follows', async () => {
    const { client } = await connectTo((line) => (line === 'inb 0x1' ? 'OK 0x1\n' : undefined), 50);
    expect(await client.in(1, 1)).toBe(1);
    const waiting = [client.in(2, 1), client.in(3, 1)];
    for (const late of waiting) await expect(late).rejects.toThrow('no answer to "inb 0x2" within 50 ms');
    await expect(client.in(4, 1)).rejects.toThrow('no answer to "inb 0x2"');
  });

  test('comes with the connection', async () => {
    const { client, theirs } = await connectTo(() => undefined);
    const waiting = client.in(1, 1);
    theirs.destroy();
    await expect(waiting).rejects.toThrow(QtestError);
    await expect(client.in(1, 1)).rejects.toThrow(QtestError);
  });

  test('comes with an answer to nothing', async () => {
    const { client, theirs } = await connectTo(() => 'OK 0x1\nOK 0x2\n');
    expect(await client.in(1, 1)).toBe(1);
    await new Promise((resolve) => theirs.once('close', resolve));
    await expect(client.in(1, 1)).rejects.toThrow('QEMU said "OK 0x2" unasked');
  });

  test('comes when asked for', async () => {
    const { client } = await connectTo(() => undefined);
    const waiting = client.in(1, 1);
    client.close();
    await expect(waiting).rejects.toThrow('was closed');
  });
});
