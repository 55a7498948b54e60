import { BeginAnew } from './state-space.ts';

/** Names of one sort that a state refers to, in the order of being met. */
export class Names {
  readonly numbers: number[] = [];
  /** Tell numbers as they are: one was given up that something still referred to. */
  isExact = false;
  isExactNow = false;
  /** Some number or all are told as they are. */
  hasExceptions = false;
  /** Tell these as they are. */
  readonly pinned: Uint8Array;
  readonly #first: number;
  /** 1 for the first one met; 0: not met. */
  readonly #order: Int32Array;
  readonly #isHeld: ((number: number) => boolean) | undefined;

  /** Names are `first` … `end` − 1, of which `isHeld` says whether they are in use; without it that is no matter. */
  constructor(first: number, end: number, isHeld?: (number: number) => boolean) {
    this.#first = first;
    this.#order = new Int32Array(end);
    this.pinned = new Uint8Array(end);
    this.#isHeld = isHeld;
  }

  clear(): void {
    for (const number of this.numbers) this.#order[number] = 0;
    this.numbers.length = 0;
  }

  isName(number: number): boolean {
    return number >= this.#first && number < this.#order.length;
  }

  isMet(number: number): boolean {
    return this.#order[number] !== 0;
  }

  /** A word for a number: > 0 for a name, else for the number itself. @throws BeginAnew if a free one is referred to */
  tell(number: number): number {
    const order = this.#order;
    if (number < this.#first || number >= order.length) return plainly(number);
    const met = order[number];
    const told = met !== 0 ? met : this.#meet(number);
    if (this.hasExceptions && (this.isExact || this.isExactNow || this.pinned[number] !== 0)) return plainly(number);
    return told;
  }

  #meet(number: number): number {
    if (!this.isExact && this.#isHeld && !this.#isHeld(number)) {
      this.isExact = this.hasExceptions = true;
      throw new BeginAnew();
    }
    return (this.#order[number] = this.numbers.push(number));
  }
}

/** A word ≤ 0, another one for each number. */
function plainly(number: number): number {
  return number < 0 ? 2 * number + 1 : -2 * number;
}
