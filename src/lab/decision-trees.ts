import { doubled, PairMap } from './int-tables.ts';

const UNASKED = -1;
const NONE = -1;

/**
 * Functions of words, known by example. Each tree stands for one function: a node asks for a word, and its value leads to
 * the next node or to a leaf, the number of a result. What a word is, the caller says: an index that it can read.
 */
export class DecisionTrees {
  /** What each node asks; below UNASKED: −2 − the leaf's number. */
  #word = new Int32Array(1 << 12);
  /** The first value that was seen and where it leads (−1: none was); other values are in `#branches`. */
  #value = new Int32Array(1 << 12);
  #next = new Int32Array(1 << 12);
  #nodes = 0;
  readonly #branches = new PairMap();

  /** A new tree without examples; its root. */
  plant(): number {
    return this.#node();
  }

  /** The leaf for a state given as words by index, or −1. */
  findByWord(root: number, words: Int32Array): number {
    let node = root;
    for (;;) {
      const word = this.#word[node];
      if (word < 0) return -2 - word;
      node = this.#follow(node, words[word]);
      if (node < 0) return NONE;
    }
  }

  /** The leaf for a state in blocks of 16 words, or −1: words are `column << 4 | place`, columns hold blocks of `pool`. */
  findByBlock(root: number, columns: Int32Array, at: number, pool: Int32Array): number {
    let node = root;
    for (;;) {
      const word = this.#word[node];
      if (word < 0) return -2 - word;
      node = this.#follow(node, pool[(columns[at + (word >> 4)] << 4) | (word & 15)]);
      if (node < 0) return NONE;
    }
  }

  /** Adds an example: the words in the order in which they matter, and how to read any word. */
  insert(root: number, words: readonly number[], read: (word: number) => number, leaf: number): void {
    let node = root;
    const asked = new Set<number>();
    let i = 0;
    for (;;) {
      while (i < words.length && asked.has(words[i])) i++;
      const present = this.#word[node];
      if (present === UNASKED && i === words.length) {
        this.#word[node] = -2 - leaf;
        return;
      }
      if (present < UNASKED) throw new Error('an example contradicts one that is known');
      const word = present === UNASKED ? words[i] : present;
      this.#word[node] = word;
      asked.add(word);
      node = this.#branch(node, read(word));
    }
  }

  #follow(node: number, value: number): number {
    return this.#value[node] === value ? this.#next[node] : this.#branches.get(node, value);
  }

  #branch(node: number, value: number): number {
    const known = this.#follow(node, value);
    if (known !== NONE) return known;
    const next = this.#node();
    if (this.#next[node] !== NONE) this.#branches.add(node, value, next);
    else {
      this.#value[node] = value;
      this.#next[node] = next;
    }
    return next;
  }

  #node(): number {
    if (this.#nodes === this.#word.length) {
      this.#word = doubled(this.#word);
      this.#value = doubled(this.#value);
      this.#next = doubled(this.#next);
    }
    const node = this.#nodes++;
    this.#word[node] = UNASKED;
    this.#next[node] = NONE;
    return node;
  }
}
