import { PairMap } from './int-tables.ts';

/** Sets of numbers, each kept once and known by a number of its own. Set 0 is empty. */
export class PinSets {
  readonly sets: (readonly number[])[] = [[]];
  readonly #numberOf = new Map<string, number>([['', 0]]);
  readonly #unions = new PairMap();

  add(members: readonly number[]): number {
    const set = [...new Set(members)].sort((a, b) => a - b);
    const key = set.join();
    let number = this.#numberOf.get(key);
    if (number === undefined) this.#numberOf.set(key, (number = this.sets.push(set) - 1));
    return number;
  }

  union(a: number, b: number): number {
    if (a === 0 || a === b) return b;
    const known = this.#unions.get(a, b);
    if (known >= 0) return known;
    const number = this.add([...this.sets[a], ...this.sets[b]]);
    this.#unions.add(a, b, number);
    return number;
  }
}
