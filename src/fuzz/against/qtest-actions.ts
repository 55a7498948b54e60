import { hex, readLe } from '../../core/index.ts';
import { REGION } from '../access.ts';
import { type QtestPeer, QUEUE_RAM } from './qtest-peer.ts';

/** Guest RAM, as a region of a {@link Poke}: the offset is the address. */
export const RAM = 9;

/** One access to the function or to guest RAM that brings an interrupt about. */
export interface Poke {
  /** 0–5 BAR, 7 configuration space, {@link RAM}. */
  region: number;
  offset: number;
  width: 1 | 2 | 4;
  value: number;
  /** `await`: until a bit of `value` is set there, which the device does in its time. Default `write`. */
  does?: 'read' | 'await';
}

/**
 * How software makes a device of QEMU raise interrupts and end their condition: the device's own registers, so that a
 * minimal input is all accesses.
 */
export interface Actions {
  /** Vectors that can be raised. */
  vectors: number;
  /** All that it takes, whatever was before. */
  raise(vector: number): readonly Poke[];
  lower(vector: number): readonly Poke[];
  /** Milliseconds after which a message has been sent, of a device that takes its time and does not say when. */
  settleMs?: number;
  /** True where the device reads RAM for it, and so must be bus master. */
  needsMaster?: boolean;
  /** True where it begins with a reset of the device's own, which drops what was pending. */
  restarts?: boolean;
  /** True where software can see that the condition is over, so that a pending bit must go with it. §6.1.4.5 */
  isLevel?: boolean;
}

const poke = (region: number, offset: number, value: number, width: 1 | 2 | 4 = 4): Poke => ({
  ...{ region, offset, width },
  value: value >>> 0,
});
/** Dwords of RAM. */
const ram = (address: number, words: readonly number[]): Poke[] =>
  words.map((word, i) => poke(RAM, address + 4 * i, word));

/** `hw/misc/edu.c`: 0x60 raises, 0x64 acknowledges. */
const EDU: Actions = {
  vectors: 1,
  raise: () => [poke(0, 0x60, 1)],
  lower: () => [poke(0, 0x64, 1)],
};

/** Causes RxQ0, RxQ1, TxQ0, TxQ1, other of an 82574: bits of ICR, ICS and IMS. Datasheet §10.2.4. */
const E1000E_CAUSES = [1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24];
const E1000E = { icr: 0xc0, ics: 0xc8, ims: 0xd0, imc: 0xd8, ivar: 0xe4 };
/** Each cause at the vector of its own number. */
const E1000E_IVAR = 0x000c_ba98;
const E1000E_ACTIONS: Actions = {
  vectors: 5,
  raise: (vector) => [
    poke(0, E1000E.imc, -1),
    poke(0, E1000E.icr, -1),
    poke(0, E1000E.ivar, E1000E_IVAR),
    poke(0, E1000E.ims, 0x01f0_0000),
    poke(0, E1000E.icr, -1),
    poke(0, E1000E.ics, E1000E_CAUSES[vector]),
  ],
  lower: () => [poke(0, E1000E.icr, -1)],
  settleMs: 2,
};

/** A command to the slot completes at once: Slot Control with its interrupt enabled, Slot Status to end it. */
function slotActions(express: number): Actions {
  const [control, status] = [express + 24, express + 26];
  return {
    vectors: 1,
    raise: () => [poke(REGION.config, control, 0x07f0, 2)],
    lower: () => [poke(REGION.config, status, 0x0010, 2)],
    isLevel: true,
  };
}

/** NVMe 1.4 §3.1, §4.1: the controller is started anew, and an Abort of nothing completes on the admin queue. */
const NVME: Actions = {
  vectors: 1,
  raise: () => [
    poke(0, 0x14, 0),
    ...ram(QUEUE_RAM, [0x0001_0008, ...Array.from({ length: 15 }, () => 0)]),
    ...ram(QUEUE_RAM + 0x1000, [0, 0, 0, 0]),
    ...[poke(0, 0x24, 0x0001_0001), poke(0, 0x28, QUEUE_RAM), poke(0, 0x2c, 0)],
    ...[poke(0, 0x30, QUEUE_RAM + 0x1000), poke(0, 0x34, 0), poke(0, 0x14, 0x0046_0001)],
    poke(0, 0x1000, 1),
    { ...poke(RAM, QUEUE_RAM + 0x100c, 0x0001_0000), does: 'await' },
  ],
  lower: () => [poke(0, 0x1004, 1)],
  needsMaster: true,
  restarts: true,
};

/** xHCI 1.2 §5.4, §5.5: reset, one segment of events, and a No Op command whose completion is an event of interrupter 0. */
const XHCI: Actions = {
  vectors: 1,
  raise: () => [
    poke(0, 0x40, 2),
    ...ram(QUEUE_RAM, [0, 0, 0, (23 << 10) | 1]),
    ...ram(QUEUE_RAM + 0x1000, [QUEUE_RAM + 0x2000, 0, 16, 0]),
    ...ram(QUEUE_RAM + 0x2000, [0, 0, 0, 0]),
    ...[poke(0, 0x58, QUEUE_RAM | 1), poke(0, 0x5c, 0), poke(0, 0x1028, 1)],
    ...[poke(0, 0x1030, QUEUE_RAM + 0x1000), poke(0, 0x1034, 0)],
    ...[poke(0, 0x1038, QUEUE_RAM + 0x2000), poke(0, 0x103c, 0)],
    ...[poke(0, 0x1020, 2), poke(0, 0x40, 5), poke(0, 0x2000, 0)],
    { ...poke(RAM, QUEUE_RAM + 0x200c, 1), does: 'await' },
  ],
  lower: () => [poke(0, 0x1020, 3)],
  needsMaster: true,
};

/** Virtio 1.1 §4.1.4, §5.2.6: the device is set up anew and asked for its name by queue 0. */
const VIRTIO_BLK: Actions = {
  vectors: 1,
  raise: (vector) => [
    poke(4, 0x14, 0, 1),
    // header, name, status; the flags say next and device-writable
    ...ram(QUEUE_RAM, [QUEUE_RAM + 0x300, 0, 16, 0x0001_0001]),
    ...ram(QUEUE_RAM + 16, [QUEUE_RAM + 0x400, 0, 20, 0x0002_0003]),
    ...ram(QUEUE_RAM + 32, [QUEUE_RAM + 0x500, 0, 1, 0x0000_0002]),
    ...ram(QUEUE_RAM + 0x300, [8, 0, 0, 0]),
    ...ram(QUEUE_RAM + 0x200, [0, 0, 0]),
    ...ram(QUEUE_RAM + 0x100, [0x0001_0000, 0]),
    ...[1, 3].map((status) => poke(4, 0x14, status, 1)),
    ...[poke(4, 0x08, 1), poke(4, 0x0c, 1), poke(4, 0x14, 0x0b, 1)],
    ...[poke(4, 0x16, 0, 2), poke(4, 0x18, 4, 2), poke(4, 0x1a, vector, 2)],
    ...[QUEUE_RAM, QUEUE_RAM + 0x100, QUEUE_RAM + 0x200].flatMap((address, i) => [
      poke(4, 0x20 + 8 * i, address),
      poke(4, 0x24 + 8 * i, 0),
    ]),
    ...[poke(4, 0x1c, 1, 2), poke(4, 0x14, 0x0f, 1)],
    poke(4, 0x3000, 0, 2),
    { ...poke(RAM, QUEUE_RAM + 0x200, 0xffff_0000), does: 'await' },
  ],
  lower: () => [{ ...poke(4, 0x1000, 0, 1), does: 'read' }],
  needsMaster: true,
  restarts: true,
};

const BY_ID: Record<string, Actions> = {
  '1234:11e8': EDU,
  '8086:10d3': E1000E_ACTIONS,
  '1b36:0010': NVME,
  '1b36:000d': XHCI,
  '1af4:1001': VIRTIO_BLK,
  '1af4:1042': VIRTIO_BLK,
};

/** What is known of a device by its identification, of a port by its slot; undefined where nothing is. */
export function actionsOf(peer: QtestPeer): Actions | undefined {
  const { image, capabilities, traits } = peer.measured.layout;
  const express = capabilities.find((c) => !c.extended && c.id === 0x10);
  if (express && traits.headerType === 1 && image[express.at + 3] & 1) return slotActions(express.at);
  return BY_ID[idOf(image)];
}

/** `8086:10d3`. */
export function idOf(image: Uint8Array): string {
  return [0, 2].map((at) => hex(readLe(image, at, 2), 4).slice(2)).join(':');
}
