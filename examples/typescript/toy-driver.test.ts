import { Session } from 'pirqlab';
import { expect, test } from 'vitest';
import { fireVector } from './fire-vector.ts';
import { scanAndFire } from './machine.ts';
import { ToyDriver } from './toy-driver.ts';

const NVME = '00:04.0';

function setUp() {
  const session = new Session({ devices: ['nvme:queues=4,msix=5,size=1M'] });
  const driver = new ToyDriver(session.function(NVME));
  driver.enable(0xfee01000, (vector) => 0x40 + vector);
  return { session, driver };
}

/** Data of the messages since the last look. */
const messages = (session: Session) =>
  session.takeEffects().flatMap((effect) => (effect.kind === 'message' ? [effect.data] : []));

test('every vector sends the message that the driver gave it', () => {
  const { session, driver } = setUp();
  for (let vector = 0; vector < driver.vectors; vector++) session.raise(NVME, vector);
  expect(messages(session)).toEqual([0x40, 0x41, 0x42, 0x43, 0x44]);
});

test('a masked vector is held, and sent once when unmasked', () => {
  const { session, driver } = setUp();
  driver.mask(2, true);
  session.raise(NVME, 2);
  session.raise(NVME, 2);
  expect(messages(session)).toEqual([]);
  expect(driver.isPending(2)).toBe(true);
  driver.mask(2, false);
  expect(messages(session)).toEqual([0x42]);
  expect(driver.isPending(2)).toBe(false);
});

test('disabled, the device falls back to its pin', () => {
  const { session, driver } = setUp();
  driver.disable();
  session.write(NVME, 7, 4, 2, 6);
  session.raise(NVME, 0);
  session.lower(NVME);
  expect(session.takeEffects()).toMatchObject([
    { kind: 'intx', level: 1 },
    { kind: 'intx', level: 0 },
  ]);
});

test('from one snapshot, both orders of mask and interrupt', () => {
  const { session, driver } = setUp();
  const before = session.snapshot();
  driver.mask(1, true);
  session.raise(NVME, 1);
  expect(messages(session)).toEqual([]);
  session.restore(before);
  session.raise(NVME, 1);
  driver.mask(1, true);
  expect(messages(session)).toEqual([0x41]);
  expect(driver.isPending(1)).toBe(false);
});

test('messages as they come', async () => {
  const { session } = setUp();
  const effects = session.effects();
  session.raise(NVME, 3);
  session.raise(NVME, 4);
  session.close();
  const seen: number[] = [];
  for await (const effect of effects) if (effect.kind === 'message') seen.push(effect.vector);
  expect(seen).toEqual([3, 4]);
});

test('the example programs', () => {
  const lines: string[] = [];
  fireVector((line) => lines.push(line));
  scanAndFire((line) => lines.push(line));
  expect(lines).toEqual([
    'vector 1: address 0xfee01000 data 0x4041',
    '00:00.0 29c08086',
    '00:04.0 4e561234',
    '00:05.0 4e561234',
    'NVMe 1.4',
    'GSI 20 is 1',
  ]);
});
