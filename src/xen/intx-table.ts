import type { Arena } from '../core/index.ts';
import type { Domain } from './domain.ts';

/** Links of one domain; Xen has no bound but memory, so a privileged caller gets -ENOMEM here at last. */
const LINKS_PER_DOMAIN = 32;
const WORDS = 4;

/** Emulated GSI of an INTx pin. arch/x86/include/asm/hvm/irq.h: hvm_pci_intx_gsi */
export function intxGsi(device: number, intx: number): number {
  return ((((device << 2) + (device >> 3) + intx) & 31) + 16) | 0;
}

/**
 * Passed-through INTx. Xen keeps two lists, appended to together but not shortened together: per emulated GSI which
 * pirqs stand behind it (routes), and per pirq which device lines it drives (links).
 * arch/x86/include/asm/hvm/irq.h: hvm_girq_dpci_mapping, dev_intx_gsi_link
 */
export class IntxTable {
  /** Per entry: 1 in use, pirq, bus << 16 | device << 8 | intx, order of creation. Per domain slot: routes, then links. */
  readonly #words: Int32Array[] = [];
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Makes room for a new domain. */
  attach(d: Domain): void {
    this.#words[d.slot] ??= this.#arena.int32(d.isHvm ? 2 * LINKS_PER_DOMAIN * WORDS + 1 : 0, `xen.dom${d.id}.intx`);
    this.clear(d);
  }

  clear(d: Domain): void {
    this.#words[d.slot].fill(0);
  }

  /** False if there is no room. */
  add(d: Domain, pirq: number, bus: number, device: number, intx: number): boolean {
    return this.#insert(d, 0, pirq, key(bus, device, intx)) && this.#insert(d, 1, pirq, key(bus, device, intx));
  }

  /** Takes the newest route and link of a pirq away. */
  removeLast(d: Domain, pirq: number): void {
    for (const list of [0, 1]) {
      const found = this.#entries(d, list, (p) => p === pirq);
      if (found.length) this.#words[d.slot][found[found.length - 1]] = 0;
    }
  }

  /** Takes the oldest fitting route away; false if there is none. */
  removeRoute(d: Domain, pirq: number, bus: number, device: number, intx: number): boolean {
    const [at] = this.#entries(d, 0, (p, k) => p === pirq && k === key(bus, device, intx));
    if (at === undefined) return false;
    this.#words[d.slot][at] = 0;
    return true;
  }

  removeLinks(d: Domain, pirq: number, bus: number, device: number, intx: number): void {
    for (const at of this.#entries(d, 1, (p, k) => p === pirq && k === key(bus, device, intx)))
      this.#words[d.slot][at] = 0;
  }

  removeAllLinks(d: Domain, pirq: number): void {
    for (const at of this.#entries(d, 1, (p) => p === pirq)) this.#words[d.slot][at] = 0;
  }

  hasLinks(d: Domain, pirq: number): boolean {
    return this.#entries(d, 1, (p) => p === pirq).length > 0;
  }

  /** Device lines that a pirq drives, oldest first. */
  links(d: Domain, pirq: number): { device: number; intx: number }[] {
    const words = this.#words[d.slot];
    return this.#entries(d, 1, (p) => p === pirq).map((at) => ({
      device: (words[at + 2] >> 8) & 0xff,
      intx: words[at + 2] & 0xff,
    }));
  }

  /** The pirq of the newest route behind an emulated GSI, or 0. */
  newestPirq(d: Domain, gsi: number): number {
    const words = this.#words[d.slot];
    const found = this.#entries(d, 0, (_, k) => intxGsi((k >> 8) & 0xff, k & 0xff) === gsi);
    return found.length ? words[found[found.length - 1] + 1] : 0;
  }

  #insert(d: Domain, list: number, pirq: number, line: number): boolean {
    const words = this.#words[d.slot];
    const base = 1 + list * LINKS_PER_DOMAIN * WORDS;
    for (let at = base; at < base + LINKS_PER_DOMAIN * WORDS; at += WORDS) {
      if (words[at]) continue;
      words[at] = 1;
      words[at + 1] = pirq;
      words[at + 2] = line;
      words[at + 3] = ++words[0];
      return true;
    }
    return false;
  }

  /** Offsets of the fitting entries, oldest first. */
  #entries(d: Domain, list: number, fits: (pirq: number, line: number) => boolean): number[] {
    const words = this.#words[d.slot];
    if (!words.length || !words[0]) return [];
    const base = 1 + list * LINKS_PER_DOMAIN * WORDS;
    const found: number[] = [];
    for (let at = base; at < base + LINKS_PER_DOMAIN * WORDS; at += WORDS)
      if (words[at] && fits(words[at + 1], words[at + 2])) found.push(at);
    return found.sort((a, b) => words[a + 3] - words[b + 3]);
  }
}

function key(bus: number, device: number, intx: number): number {
  return (bus << 16) | (device << 8) | intx;
}
