import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { register } from '../../src/cli/replay.ts';
import { AccessRecordingWriter, openAccessRecording } from '../../src/harness/access-recording.ts';
import { replayAccessRecording } from '../../src/harness/access-replay.ts';
import { parseDevice, recipesOfDump } from '../../src/harness/device-text.ts';
import { Session } from '../../src/harness/session.ts';
import { builtinDump } from '../../src/pci/dump/index.ts';
import { runCommand } from '../cli/run.ts';
import { BDF, enableRequests, identifyCommand, ring } from './nvme-script.ts';

let folder: string;
let file: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-recording-'));
  file = join(folder, 'session.pirqacc');
  const clone = { ...recipesOfDump(builtinDump('8086-0953'))[0], bdf: 0x100 };
  const session = new Session({ devices: [parseDevice('nvme:queues=4'), clone] });
  const writer = new AccessRecordingWriter(file, session.functions.values());
  session.record(writer.append);
  session.memory.writeBytes(0x10000, identifyCommand(1, 0x20000));
  for (const request of [...enableRequests(0x10000), ring(1)]) session.execute(request);
  session.raise(BDF);
  session.reset(BDF, 'flr');
  expect(session.read('01:00.0', 7, 0, 4)).toBe(0x09538086);
  writer.close();
  session.close();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('a recorded session', () => {
  test('replays without a difference, the DMA of its commands included', () => {
    const result = replayAccessRecording(file);
    expect(result).toMatchObject({ operations: 9, differences: 0 });
    expect(result.comparisons).toBeGreaterThan(12);
  });

  test('is private to the user', () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('every changed byte of an answer shows, and is told in words', () => {
    const bytes = readFileSync(file);
    const at = bytes.length - 8; // the low word of the vendor ID that was read last
    for (const bit of [1, 0x80]) {
      const changed = Buffer.from(bytes);
      changed[at] ^= bit;
      writeFileSync(join(folder, 'changed'), changed);
      const result = replayAccessRecording(join(folder, 'changed'));
      expect(result.differences).toBe(1);
      expect(result.first).toContain('read answer function 0x100 region 7');
    }
  });

  test('cut off anywhere it is refused in one line, or is a shorter recording', () => {
    const bytes = readFileSync(file);
    for (let length = 0; length < bytes.length; length += 23) {
      writeFileSync(join(folder, 'cut'), bytes.subarray(0, length));
      try {
        expect(openAccessRecording(join(folder, 'cut')).records.length).toBeLessThan(100);
      } catch (error) {
        expect((error as Error).name).toBe('UsageError');
        expect((error as Error).message).not.toContain('\n');
      }
    }
  });

  test('pirqlab replay knows it by its first bytes, and in a folder by its name', async () => {
    rmSync(join(folder, 'cut'), { force: true });
    const named = JSON.parse(await runCommand(register, 'replay', '--json', join(folder, 'changed')));
    expect(named.differences).toBe(1);
    process.exitCode = 0;
    const found = JSON.parse(await runCommand(register, 'replay', '--json', folder));
    expect(found.files.map((f: { file: string }) => f.file)).toEqual([file]);
    expect(found.differences).toBe(0);
  });
});
