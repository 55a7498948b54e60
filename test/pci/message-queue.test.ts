import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFunction, MessageQueue } from '../../src/pci/index.ts';

type Message = [vector: number, addressLo: number, addressHi: number, data: number];

const words = fc.tuple(fc.nat(2047), fc.integer(), fc.integer(), fc.integer());

test('hands out messages in order, each once, those of later on in a later call', () => {
  fc.assert(
    fc.property(fc.array(fc.array(words, { maxLength: 40 }), { maxLength: 6 }), (batches) => {
      const queue = new MessageQueue();
      const taken: Message[][] = [];
      // while a batch is taken, the next one arrives; what the sink does takes that itself every other time
      const take = (n: number): void => {
        let first = true;
        taken.push([]);
        const mine = taken.length - 1;
        queue.drain({
          message: (...message) => {
            taken[mine].push(message);
            if (!first) return;
            first = false;
            for (const next of batches[n + 1] ?? []) queue.message(...next);
            if (n % 2 === 0 && batches[n + 1]?.length) take(n + 1);
          },
        });
        if (batches[n + 1]?.length && n % 2) take(n + 1);
      };
      for (const message of batches[0] ?? []) queue.message(...message);
      if (batches[0]?.length) take(0);
      const end = batches.findIndex((batch) => batch.length === 0);
      expect(taken).toEqual(batches.slice(0, end < 0 ? undefined : end));
      expect(queue.drain({ message: () => expect.unreachable() })).toBe(false);
    }),
  );
});

test('what is taken stays taken when the taker throws', () => {
  const queue = new MessageQueue();
  queue.message(1, 2, 3, 4);
  const failing = {
    message: () => {
      throw new Error('dead');
    },
  };
  expect(() => queue.drain(failing)).toThrow('dead');
  expect(queue.drain(failing)).toBe(false);
});

/** A function with nothing but MSI-X of four vectors, enabled. */
function withMsix() {
  const image = new Uint8Array(256);
  image.set([0x34, 0x12, 0x56, 0x4e, 0x04, 0, 0x10, 0]);
  image[0x34] = 0x40;
  image.set([0x11, 0, 3, 0x80, 0, 0, 0, 0, 0, 8, 0, 0], 0x40);
  const bars = [{ bar: 0, kind: 'mem32', sizeBytes: 4096, prefetchable: false } as const];
  const fn = createFunction({ name: 'four vectors', bdf: 0x18, image, bars });
  for (let vector = 0; vector < 4; vector++) {
    fn.writeBar(0, 16 * vector, 4, 0xfee01000);
    fn.writeBar(0, 16 * vector + 8, 4, 0x4000 + vector);
    fn.writeBar(0, 16 * vector + 12, 4, vector === 2 ? 1 : 0);
  }
  return fn;
}

test('a function with a sink sends it what would have been its effects', () => {
  const [plain, direct] = [withMsix(), withMsix()];
  const queue = new MessageQueue();
  direct.messages = queue;
  for (const fn of [plain, direct]) {
    for (const vector of [0, 2, 3, 0]) fn.raise(vector);
    fn.writeBar(0, 16 * 2 + 12, 4, 0);
  }
  const sent: Message[] = [];
  queue.drain({ message: (...message) => void sent.push(message) });
  const effects = plain.effects.flatMap((e) =>
    e.kind === 'message' ? [[e.vector, e.addressLo | 0, e.addressHi | 0, e.data | 0]] : [],
  );
  expect(sent).toEqual(effects);
  expect(sent.map(([vector]) => vector)).toEqual([0, 3, 0, 2]);
  expect(direct.effects).toEqual([]);
});
