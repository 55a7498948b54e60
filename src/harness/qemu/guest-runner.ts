import { setTimeout as pause } from 'node:timers/promises';
import { ones, readLe, type Width } from '../../core/index.ts';
import type { Access, Answer, Task } from '../../guest/index.ts';
import { CONFIG_REGION, handleIdtVector, type KernelRecords, runHandlers, WAIT } from '../../guest/index.ts';
import { conventionalCapabilities } from '../../pci/index.ts';
import { QemuPci } from './pci.ts';
import type { QtestMachine } from './process.ts';

export interface GuestRunnerOptions {
  records: KernelRecords;
  /**
   * `ram`: an MSI-X message is given an address of its own in guest RAM, where it is seen to arrive (the guest reads
   * back what it wrote). `apic`: tables hold what the guest writes, messages go to the processor's local APIC, and the
   * guest polls its queues.
   */
  messages: 'ram' | 'apic';
}

/** An MSI-X message as QEMU's device stored it in guest RAM. */
export interface SeenMessage {
  bdf: number;
  /** The table entry, told by the address. */
  vector: number;
  data: number;
}

/** Page of guest RAM where messages arrive: a word for each table entry of each function, in order of first use. */
export const MESSAGE_PAGE = 0x3ff_f000;
const PAGE_BYTES = 4096;
/** Addresses that are messages: Intel SDM volume 3 §11.11.1. */
const APIC_BASE = 0xfee0_0000;
const APIC_MASK = 0xfff0_0000;
const INTERRUPT_ASSERTED = 0x08;
const INTX_DISABLE = 0x400;
const CAP_MSIX = 0x11;

/** QEMU's clock goes by itself: how long to let it between two looks, and the most that a wait may take of ours. */
const LOOK_EVERY_MS = 1;
const LONGEST_WAIT_MS = 5_000;
const LONGEST_DELAY_MS = 10;

interface MsixTable {
  bar: number;
  offset: number;
  end: number;
}

/**
 * Serves guest tasks from a QEMU: its devices, its RAM, its time. There is no hypervisor. Interrupts arrive where the
 * guest waits, messages and pins alike.
 */
export class QemuGuestRunner {
  /** Messages in the order in which they were found; those found at once, by address. */
  readonly messages: SeenMessage[] = [];
  readonly #qemu: QtestMachine;
  readonly #pci: QemuPci;
  readonly #records: KernelRecords;
  readonly #catches: boolean;
  readonly #tables = new Map<number, MsixTable | undefined>();
  /** By `bdf.vector`: the low address word as the guest wrote it. */
  readonly #written = new Map<string, number>();
  /** The message of each word of the message page. */
  readonly #slots: { bdf: number; vector: number }[] = [];

  constructor(qemu: QtestMachine, options: GuestRunnerOptions) {
    this.#qemu = qemu;
    this.#pci = new QemuPci(qemu);
    this.#records = options.records;
    this.#catches = options.messages === 'ram';
  }

  async run<T>(task: Task<T>): Promise<T> {
    let next = task.next();
    while (!next.done) next = task.next(await this.#serve(next.value));
    return next.value;
  }

  async #serve(access: Access): Promise<Answer> {
    const { qtest } = this.#qemu;
    switch (access.op) {
      case 'read':
        return this.#read(access.bdf, access.region, access.offset, access.width);
      case 'write':
        await this.#write(access.bdf, access.region, access.offset, access.width, access.value);
        return 0;
      case 'load':
        return qtest.read(access.address, 4);
      case 'store':
        await qtest.write(access.address, 4, access.value);
        return 0;
      case 'update': {
        const old = await qtest.read(access.address, 4);
        await qtest.write(access.address, 4, (old & ~access.clear) | access.set);
        return old;
      }
      case 'kernel':
        return this.#records.perform(access.call, access.args);
      case 'wait':
        return this.#catches ? this.#wait(access.bdf, access.queue, access.timeoutMs) : WAIT.polled;
      case 'delay':
        await pause(Math.min(access.ms, LONGEST_DELAY_MS));
        return 0;
      case 'hypercall':
        throw new Error('a hypercall where there is no hypervisor');
      case 'step':
        return 0;
    }
  }

  async #read(bdf: number, region: number, offset: number, width: Width): Promise<number> {
    if (region === CONFIG_REGION) return this.#pci.read(bdf, this.#pci.best, offset, width);
    const vector = await this.#messageAddress(bdf, region, offset);
    const written = vector === undefined ? undefined : this.#written.get(`${bdf}.${vector}`);
    if (written !== undefined) return written;
    const bar = await this.#bar(bdf, region);
    if (bar.base === 0) return ones(width);
    return bar.isIo ? this.#qemu.qtest.in(bar.base + offset, width) : this.#qemu.qtest.read(bar.base + offset, width);
  }

  async #write(bdf: number, region: number, offset: number, width: Width, value: number): Promise<void> {
    if (region === CONFIG_REGION) return this.#pci.write(bdf, this.#pci.best, offset, width, value);
    const bar = await this.#bar(bdf, region);
    if (bar.base === 0) return;
    const vector = await this.#messageAddress(bdf, region, offset);
    if (vector !== undefined) {
      const isMessage = (value & APIC_MASK) >>> 0 === APIC_BASE;
      if (isMessage) {
        this.#written.set(`${bdf}.${vector}`, value);
        value = this.#slotAddress(bdf, vector);
      } else this.#written.delete(`${bdf}.${vector}`);
    }
    if (bar.isIo) await this.#qemu.qtest.out(bar.base + offset, width, value);
    else await this.#qemu.qtest.write(bar.base + offset, width, value);
  }

  /** Where a BAR stands now; base 0 if it has no address. */
  async #bar(bdf: number, bar: number): Promise<{ base: number; isIo: boolean }> {
    const at = 0x10 + 4 * bar;
    const low = await this.#pci.read(bdf, this.#pci.best, at, 4);
    if (low & 1) return { base: (low & ~3) >>> 0, isIo: true };
    const high = (low & 6) === 4 ? await this.#pci.read(bdf, this.#pci.best, at + 4, 4) : 0;
    return { base: high * 2 ** 32 + ((low & ~15) >>> 0), isIo: false };
  }

  /** The vector whose low address word an access to a BAR is, if messages are to be caught. */
  async #messageAddress(bdf: number, bar: number, offset: number): Promise<number | undefined> {
    if (!this.#catches) return undefined;
    if (!this.#tables.has(bdf)) this.#tables.set(bdf, await this.#findTable(bdf));
    const table = this.#tables.get(bdf);
    if (!table || bar !== table.bar || offset < table.offset || offset >= table.end) return undefined;
    return (offset & 15) === 0 ? (offset - table.offset) >> 4 : undefined;
  }

  async #findTable(bdf: number): Promise<MsixTable | undefined> {
    const image = await this.#pci.image(bdf);
    const msix = conventionalCapabilities(image).find((c) => c.id === CAP_MSIX);
    if (!msix) return undefined;
    const locator = readLe(image, msix.at + 4, 4);
    const offset = (locator & ~7) >>> 0;
    return { bar: locator & 7, offset, end: offset + 16 * ((readLe(image, msix.at + 2, 2) & 0x7ff) + 1) };
  }

  #slotAddress(bdf: number, vector: number): number {
    let slot = this.#slots.findIndex((s) => s.bdf === bdf && s.vector === vector);
    if (slot < 0) slot = this.#slots.push({ bdf, vector }) - 1;
    if (slot >= PAGE_BYTES / 4) throw new Error(`more than ${PAGE_BYTES / 4} messages`);
    return MESSAGE_PAGE + 4 * slot;
  }

  async #wait(bdf: number, queue: number, timeoutMs: number): Promise<number> {
    const looks = Math.min(timeoutMs, LONGEST_WAIT_MS) / LOOK_EVERY_MS;
    for (let look = 0; look < looks; look++) {
      await this.#deliverMessages();
      await this.#deliverPins();
      if (this.#records.completed(bdf, queue)) return WAIT.interrupted;
      await pause(LOOK_EVERY_MS);
    }
    return WAIT.timedOut;
  }

  async #deliverMessages(): Promise<void> {
    const { qtest } = this.#qemu;
    if (this.#slots.length === 0) return;
    const bytes = await qtest.readBytes(MESSAGE_PAGE, 4 * this.#slots.length);
    for (const [slot, { bdf, vector }] of this.#slots.entries()) {
      const data = readLe(bytes, 4 * slot, 4);
      if (data === 0) continue;
      // cleared before the handler looks, so that a message of what it does not see is not lost
      await qtest.write(MESSAGE_PAGE + 4 * slot, 4, 0);
      this.messages.push({ bdf, vector, data });
      await this.run(handleIdtVector(data & 0xff));
    }
  }

  /** Pins as status and command say; only those the guest knows an irq of. */
  async #deliverPins(): Promise<void> {
    for (const bdf of this.#records.bdfs()) {
      const { intxIrq } = this.#records.device(bdf);
      if (intxIrq === 0) continue;
      const word = await this.#pci.read(bdf, this.#pci.best, 4, 4);
      if ((word >>> 16) & INTERRUPT_ASSERTED && !(word & INTX_DISABLE)) await this.run(runHandlers(intxIrq));
    }
  }
}
