import { hex, readLe } from '../../core/index.ts';
import { type Access, KIND, REGION } from '../access.ts';
import type { NaiveFunction } from '../oracle/naive-function.ts';
import { type Cause, type Difference, lawOfReset, verdictOf } from './difference.ts';
import type { Actions } from './qtest-actions.ts';
import type { MsixPlace } from './qtest-notation.ts';
import { MESSAGE_PAGE, MESSAGE_WORDS, type QtestPeer } from './qtest-peer.ts';

const ENTRY = ['addressLo', 'addressHi', 'data', 'vectorControl'];
/** Address bits 1:0 may be read-only or not, PCI 3.0 §6.8.2: not judged. */
const ENTRY_JUDGED = [0xffff_fffc, -1, -1, -1];
const STATUS = 6;
const INTERRUPT_STATUS = 8;
/** The reset that the way from D3hot to D0 is: one law for all registers. */
const WAKE = { law: 'd3hot to d0', register: 'registers' } as const;

/** Vector table, pending bits, messages and line against what they must be. */
export class InterruptJudge {
  /** Messages of the last step that had to be sent and were. */
  arrived = 0;
  readonly #peer: QtestPeer;
  readonly #oracle: NaiveFunction;
  readonly #actions: Actions | undefined;
  readonly #msix: MsixPlace | undefined;

  constructor(peer: QtestPeer, oracle: NaiveFunction, actions: Actions | undefined, msix: MsixPlace | undefined) {
    this.#peer = peer;
    this.#oracle = oracle;
    this.#actions = actions;
    this.#msix = msix;
  }

  /** Entries and pending bits; what differs is taken over. */
  async table({ reset }: Cause, step: Access, isSilent: boolean): Promise<Difference[]> {
    const [oracle, peer] = [this.#oracle, this.#peer];
    const msix = oracle.msix!;
    const { bar, offset, count, pbaBar, pba } = this.#msix!;
    const shown = Math.min(count, 64);
    const [entries, pending] = await Promise.all([
      peer.bar(bar, offset, 16 * shown),
      peer.bar(pbaBar, pba, 8 * Math.ceil(shown / 64)),
    ]);
    const found: Difference[] = [];
    // whether a reset of the device's own drops what waits while MSI-X is off is not said
    const isOn = (oracle.read(oracle.bits.capabilities.get(0x11)! + 2, 2) & 0x8000) !== 0;
    const isOpen = step.kind === KIND.raise && this.#actions?.restarts === true && !isOn;
    const isNarrow = step.kind === KIND.write && step.region !== REGION.config && step.width < 4;
    for (let v = 0; v < shown; v++) {
      const words = [0, 4, 8, 12].map((at) => readLe(entries, 16 * v + at, 4));
      for (let w = 0; w < 4; w++) {
        const want = readLe(
          Uint8Array.from({ length: 4 }, (_, i) => msix.tableByte(16 * v + 4 * w + i)),
          0,
          4,
        );
        // after a reset address and data are what they are
        const judged = reset && w < 3 ? 0 : ENTRY_JUDGED[w];
        const bits = ((words[w] ^ want) & judged) >>> 0;
        if (bits === 0) continue;
        const text = `msix.table[${v}].${ENTRY[w]} is ${hex(words[w])}, should be ${hex(want)}`;
        if (isNarrow) found.push(narrow(text));
        else {
          const isReserved = w === 3 && (bits & 1) === 0;
          const law = lawOfReset(reset) ?? 'table';
          const register = reset === 'hot' ? 'registers' : `msix.table.${ENTRY[w]}`;
          found.push({ law, register, bits, section: '§7.7.2.8', verdict: verdictOf(law, isReserved), text });
        }
      }
      const bit = ((pending[v >> 3] >> (v & 7)) & 1) === 1;
      const should = oracle.msix!.vector(v)?.pending ?? false;
      if (bit !== should && !isSilent && !isOpen) {
        const text = `vector ${v} is ${bit ? '' : 'not '}pending, should ${should ? '' : 'not '}be`;
        const [law, register] =
          reset === 'hot'
            ? (['d3hot to d0', 'registers'] as const)
            : ([lawOfReset(reset) ?? 'pending', `msix.pba, ${bit ? 'set' : 'clear'}`] as const);
        found.push({ law, register, bits: 0, section: '§6.1.4.5', verdict: verdictOf(law), text });
      }
      if (bit !== should || msix.vector(v) || words.some((word, w) => word !== (w === 3 ? 1 : 0)))
        msix.adopt(v, words, bit);
    }
    return found;
  }

  /** What arrived in the message page against what had to; {@link arrived} counts what is right. */
  messages(arrived: Map<number, number>, power: number): Difference[] {
    const expected = new Map<number, number>();
    for (const { addressLo, addressHi, data } of this.#oracle.effects.messages) {
      const word = (addressLo - MESSAGE_PAGE) >> 2;
      if (addressHi === 0 && word >= 0 && word < MESSAGE_WORDS) expected.set(word, data);
    }
    const wrong = (what: string, text: string): Difference => {
      // that a function initiates no requests but Messages is said of D1 and D2, and not of D3hot
      const [section, verdict] = power === 0 ? (['§6.1.4', 'violates'] as const) : (['§5.3.1.4.1', 'custom'] as const);
      return {
        law: 'message',
        register: `message, ${power === 0 ? what : 'in D3hot'}`,
        bits: 0,
        section,
        verdict,
        text,
      };
    };
    for (const [word, data] of arrived) {
      const want = expected.get(word);
      if (want === data) this.arrived++;
      if (want === data) continue;
      const place = hex(MESSAGE_PAGE + 4 * word);
      if (want !== undefined) return [wrong('data', `${hex(data)} was sent to ${place}, should be ${hex(want)}`)];
      return [wrong('unasked', `${hex(data)} was sent to ${place}, should not have been`)];
    }
    for (const [word, data] of expected)
      if (!arrived.has(word))
        return [wrong('missing', `${hex(data)} should have been sent to ${hex(MESSAGE_PAGE + 4 * word)}`)];
    return [];
  }

  /** @param want level that the line should have  @param isStatus whether Interrupt Status differed */
  line(want: number, isStatus: boolean, isWake: boolean): Difference[] {
    const got = this.#peer.line() ?? want;
    const found: Difference[] = [];
    const add = (register: string, section: string, text: string) =>
      found.push({
        ...(isWake ? WAKE : { law: 'line', register }),
        ...{ bits: 0, section, verdict: verdictOf(isWake ? WAKE.law : 'line'), text },
      });
    const command = hex(this.#oracle.read(4, 2), 4);
    if (isStatus) {
      const now = (this.#oracle.bytes[STATUS] & INTERRUPT_STATUS) !== 0;
      add(
        `Interrupt Status, ${now ? 'set' : 'clear'}`,
        '§7.5.1.1.4',
        `Interrupt Status is ${Number(now)}, should be ${Number(!now)}`,
      );
    } else if (got !== want)
      add(
        `INTx, ${got ? 'asserted' : 'deasserted'}`,
        '§7.5.1.1.3',
        `the interrupt line is ${got ? '' : 'not '}asserted, should ${want ? '' : 'not '}be; Command is ${command}`,
      );
    return found;
  }
}

/** Accesses to table and pending bits other than of aligned dwords and quadwords are not defined. PCI 3.0 §6.8.2 */
export function narrow(text: string): Difference {
  return { law: 'narrow', register: 'msix.table', bits: 0, section: 'PCI 3.0 §6.8.2', verdict: 'custom', text };
}
