import { describe, expect, test } from 'vitest';
import { judge, replayAgainst } from '../../../src/fuzz/against/judge.ts';
import { PeerLost, PeerRefusal } from '../../../src/fuzz/against/peer.ts';
import { imageSpec } from '../../../src/fuzz/images.ts';
import { CONFIG_TARGET, type FunctionTarget, MSI_TARGET, MSIX_TARGET } from '../../../src/fuzz/targets/devices.ts';
import { builtinDump, listBuiltinDumps, parseDump } from '../../../src/pci/dump/index.ts';
import { type Corrupt, LocalPeer } from './local-peer.ts';

const SPEC = imageSpec({
  name: 'device',
  pm: 0xc803,
  msi: 0x0186,
  msix: { count: 4 },
  express: { caps: 0x1000_8fe1 },
  events: true,
});

const run = (target: FunctionTarget, corrupt?: Corrupt, runs = 60, maxFindings = 1) =>
  judge(async () => new LocalPeer(SPEC, corrupt), target, { seed: 3, runs, maxFindings });

describe('judging a device in other hands', () => {
  test.each([CONFIG_TARGET, MSI_TARGET, MSIX_TARGET])('$name: one that is right has no finding', async (target) => {
    const result = await run(target);
    expect(result.findings).toEqual([]);
    expect(result.steps).toBeGreaterThan(500);
  });

  test.each(listBuiltinDumps())(
    'config: the registers of %s, as they read after a reset, are a right device',
    async (id) => {
      for (const { spec } of parseDump(builtinDump(id))) {
        const { findings } = await judge(async () => new LocalPeer(spec), CONFIG_TARGET, { seed: 1, runs: 12 });
        expect(findings.map((f) => f.broken)).toEqual([]);
      }
    },
  );

  test('what a write loses is found, shrunk to one access, and not told twice', async () => {
    // Enable of MSI-X does not stick
    const corrupt: Corrupt = (region, offset, width, value) =>
      region === 7 && offset <= 0x73 && offset + width > 0x73 ? value & ~(0x80 << (8 * (0x73 - offset))) : value;
    const { findings } = await run(MSIX_TARGET, corrupt, 60, 3);
    expect(findings[0].broken).toMatch(/^bits of msix.ctrl: config\+0x70 width 4 reads .*, bits 0x80000000$/);
    expect(findings[0].steps.length).toBe(1);
    expect(findings[0].story[0]).toMatch(/write 0x80.* to config\+0x7[23] width [12] \(msix.ctrl\)/);
    expect(new Set(findings.map((f) => f.broken.slice(0, 40))).size).toBe(findings.length);
    const again = await replayAgainst(async () => new LocalPeer(SPEC, corrupt), MSIX_TARGET, findings[0].steps);
    expect(again.broken).toBe(findings[0].broken);
  });

  test('messages are compared, with what they carry', async () => {
    class Wrong extends LocalPeer {
      override async drain() {
        const events = await super.drain();
        return events.map((e) => (e.kind === 'message' ? { ...e, data: e.data! | 1 } : e));
      }
    }
    const { findings } = await judge(async () => new Wrong(SPEC), MSIX_TARGET, { seed: 3, runs: 200 });
    expect(findings[0].broken).toMatch(/^message: the message of vector \d \(0x1 to/);
    expect(findings[0].steps.length).toBeLessThanOrEqual(5);
  });

  test('a reset that leaves something is told as such', async () => {
    class Keeps extends LocalPeer {
      override async reset() {
        const line = this.fn.readConfig(0x3c, 1);
        await super.reset();
        this.fn.writeConfig(0x3c, 1, line);
      }
    }
    const { findings } = await judge(async () => new Keeps(SPEC), CONFIG_TARGET, { seed: 3, runs: 200 });
    expect(findings[0].broken).toMatch(/after a reset: config\+0x3c/);
    expect(findings[0].steps.length).toBe(1);
  });

  test('a refusal is a finding; a known deviation is marked and does not end the run', async () => {
    class Refuses extends LocalPeer {
      override async write(...[region, offset, width, value]: Parameters<LocalPeer['write']>) {
        if (region === 7 && width === 1) throw new PeerRefusal('EINVAL');
        await super.write(region, offset, width, value);
      }
    }
    const open = async () => new Refuses(SPEC);
    const first = await judge(open, CONFIG_TARGET, { seed: 3, runs: 200 });
    expect(first.findings[0].broken).toMatch(/^refused write of .*: EINVAL, width 1$/);
    const known = [{ match: /^refused write/, source: 'takes whole words only' }];
    const { findings } = await judge(open, CONFIG_TARGET, { seed: 3, runs: 40, known });
    expect(findings.length).toBeGreaterThan(3);
    expect(findings.every((f) => f.known === 'takes whole words only')).toBe(true);
  });

  test('a device that goes away is a finding, and is found again by a new connection', async () => {
    class Dies extends LocalPeer {
      override async write(...[region, offset, width, value]: Parameters<LocalPeer['write']>) {
        if (region === 7 && offset === 0x3c) throw new PeerLost('connection closed');
        await super.write(region, offset, width, value);
      }
    }
    const { findings } = await judge(async () => new Dies(SPEC), CONFIG_TARGET, { seed: 3, runs: 200 });
    expect(findings[0].broken).toBe('lost: connection closed');
    expect(findings[0].steps.length).toBe(1);
  });
});
