import { BeginAnew } from './state-space.ts';

/** Names of one sort that a state refers to, in the order of being met. */
export class Names {
  readonly numbers: number[] = [];
  /** Tell numbers as they are: one was given up that something still referred to. */
  isExact = false;
  isExactNow = false;
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
    if (!this.isName(number)) return plainly(number);
    if (!this.isExact && this.#isHeld && !this.#isHeld(number)) {
      this.isExact = true;
      throw new BeginAnew();
    }
    const order = (this.#order[number] ||= this.numbers.push(number));
    return this.isExact || this.isExactNow || this.pinned[number] !== 0 ? plainly(number) : order;
  }
}

/** A word ≤ 0, another one for each number. */
function plainly(number: number): number {
  return number < 0 ? 2 * number + 1 : -2 * number;
}
