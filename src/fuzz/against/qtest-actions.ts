import { type Access, KIND, NOT_APPLICABLE, REGION, SIGNAL } from '../access.ts';
import { access } from '../targets/function-subject.ts';
import type { QtestPeer } from './qtest-peer.ts';

/** One access to the function or to guest RAM that brings an interrupt about. */
export interface Poke {
  /** 0–5 BAR, 7 configuration space. */
  region: number;
  offset: number;
  width: 1 | 2 | 4;
  value: number;
}

/**
 * How software makes a device of QEMU raise interrupts and end their condition: the device's own registers, so that a
 * minimal input is all accesses.
 */
export interface Actions {
  /** Vectors that can be raised. */
  vectors: number;
  /** After the BARs have been placed and decoding is on. */
  prepare: readonly Poke[];
  raise(vector: number): readonly Poke[];
  lower(vector: number): readonly Poke[];
  /** What is done, for the story. */
  about: string;
  /** Milliseconds after which a message has been sent, of a device that takes its time. */
  settleMs?: number;
  /** True where software can see that the condition is over, so that a pending bit must go with it. §6.1.4.5 */
  isLevel?: boolean;
}

const poke = (region: number, offset: number, value: number, width: 1 | 2 | 4 = 4): Poke => ({
  region,
  offset,
  width,
  value: value >>> 0,
});

/** `hw/misc/edu.c`: 0x60 raises, 0x64 acknowledges. */
const EDU: Actions = {
  vectors: 1,
  prepare: [],
  raise: () => [poke(0, 0x60, 1)],
  lower: () => [poke(0, 0x64, 1)],
  about: 'edu: interrupt raise register (BAR0+0x60), acknowledge (+0x64)',
};

/** Causes RxQ0, RxQ1, TxQ0, TxQ1, other of an 82574: bits of ICR, ICS and IMS. Datasheet §10.2.4. */
const E1000E_CAUSES = [1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24];
const E1000E = { icr: 0xc0, itr: 0xc4, ics: 0xc8, ims: 0xd0, imc: 0xd8, ivar: 0xe4, eitr: 0xe8 };
/** Each cause at the vector of its own number. */
const E1000E_IVAR = 0x000c_ba98;
const E1000E_ACTIONS: Actions = {
  vectors: 5,
  prepare: [
    poke(0, E1000E.imc, -1),
    poke(0, E1000E.icr, -1),
    poke(0, E1000E.ivar, E1000E_IVAR),
    poke(0, E1000E.ims, 0x01f0_0000),
  ],
  raise: (vector) => [poke(0, E1000E.icr, -1), poke(0, E1000E.ics, E1000E_CAUSES[vector])],
  lower: () => [poke(0, E1000E.icr, -1)],
  about: 'e1000e: a cause set in ICS (BAR0+0xc8), all cleared in ICR (+0xc0); IVAR gives each its vector',
  settleMs: 2,
};

/** A command to the slot completes at once: Slot Control with its interrupt enabled, Slot Status to end it. */
function slotActions(express: number): Actions {
  const [control, status] = [express + 24, express + 26];
  return {
    vectors: 1,
    prepare: [],
    raise: () => [poke(REGION.config, control, 0x07f0, 2)],
    lower: () => [poke(REGION.config, status, 0x0010, 2)],
    about: 'port: Slot Control with Hot-Plug and Command Completed interrupts enabled; Command Completed cleared',
    isLevel: true,
  };
}

/** What is known of a device by its identification; undefined where nothing is. */
export function actionsOf(peer: QtestPeer): Actions | undefined {
  const { image, capabilities, traits } = peer.measured.layout;
  const id = (image[2] << 16) | (image[3] << 24) | image[0] | (image[1] << 8);
  if (id >>> 0 === 0x11e8_1234) return EDU;
  if (id >>> 0 === 0x10d3_8086) return E1000E_ACTIONS;
  const express = capabilities.find((c) => !c.extended && c.id === 0x10);
  if (express && traits.portType === 4 && image[express.at + 3] & 1) return slotActions(express.at);
  return undefined;
}

export function raiseStep(bdf: number, vector: number): Access {
  return access(KIND.raise, NOT_APPLICABLE, NOT_APPLICABLE, bdf, vector, SIGNAL.begins);
}
