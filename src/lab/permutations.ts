/** All orders of 0 … n − 1, each with a number. Order 0 is the natural one. */
export class Permutations {
  readonly all: readonly (readonly number[])[];
  readonly #numberOf = new Map<string, number>();

  /** @param n up to 6 or so, as there are n! */
  constructor(n: number) {
    this.all = permutations(Array.from({ length: n }, (_, i) => i));
    for (const [number, order] of this.all.entries()) this.#numberOf.set(order.join(), number);
  }

  numberOf(order: readonly number[]): number {
    return this.#numberOf.get(order.join())!;
  }

  /** The number of the permutation that puts to each place of order `to` what stands there in order `from`: names[from[k]] = to[k]. */
  between(from: number, to: number): number {
    if (from === to) return 0;
    const names: number[] = [];
    for (const [k, name] of this.all[from].entries()) names[name] = this.all[to][k];
    return this.numberOf(names);
  }
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((first, i) => permutations(items.toSpliced(i, 1)).map((rest) => [first, ...rest]));
}
