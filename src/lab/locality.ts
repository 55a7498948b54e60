import type { AccessEffect } from './access-book.ts';
import { PairMap } from './int-tables.ts';

/** The words that a step reads and writes. */
export interface StepWords {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

/** Accesses that followed another without a choice: by word, the sites that read or write it. */
interface Tail {
  readonly readers: Map<number, Set<number>>;
  readonly writers: Map<number, Set<number>>;
}

/**
 * Which accesses are no choice points. An access is known by its site: the last step marker that its task has passed and
 * how many accesses ago, so that tasks that do alike have the same sites. At a local site the access follows the one
 * before without a choice; all accesses of a transition but its first make its tail. That is right while no step that another
 * task makes before this one goes on touches a word of the tail, if one of the two writes it: then what the others do
 * meanwhile could as well have come before the tail, and nothing is left out but orders that differ in nothing.
 *
 * Sites are taken to be local until it shows that they are not, which every exploration checks: suppose that some order
 * in which others get in between makes a difference, and look at the first place where it does. Up to there the order
 * is one of those that are walked but for accesses that commute. So the access that gets in is walked as well, behind
 * the tail, reads the same up to the first word that matters, and touches that word there too.
 */
export class Locality {
  readonly #firstOf = new Map<string, number>();
  readonly #nextOf: number[] = [];
  readonly #isShared: boolean[] = [];
  /** Tails by their contents, and by number. */
  readonly #tailOf = new Map<string, number>();
  readonly #tails: Tail[] = [{ readers: new Map(), writers: new Map() }];
  #checked = new PairMap();

  /** By task: when each word was last read and written, and when the task made its last access. */
  readonly #readAt: Map<number, number>[];
  readonly #writtenAt: Map<number, number>[];
  readonly #lastAt: number[];
  #time = 0;

  constructor(tasks: number) {
    this.#readAt = Array.from({ length: tasks }, () => new Map());
    this.#writtenAt = Array.from({ length: tasks }, () => new Map());
    this.#lastAt = new Array<number>(tasks).fill(0);
  }

  /** The site of the first access after a marker. */
  first(marker: string): number {
    let site = this.#firstOf.get(marker);
    if (site === undefined) this.#firstOf.set(marker, (site = this.#add()));
    return site;
  }

  /** The site of the next access of a task. */
  next(site: number): number {
    return (this.#nextOf[site] ??= this.#add());
  }

  isLocal(site: number): boolean {
    return !this.#isShared[site];
  }

  /** Number of sites, and how many are choice points. */
  get counts(): { sites: number; shared: number } {
    return { sites: this.#isShared.length, shared: this.#isShared.filter(Boolean).length };
  }

  /** Begins a schedule whose accesses are told by {@link observe}. */
  beginSchedule(): void {
    this.#lastAt.fill(++this.#time);
  }

  /** Learns from one access of a schedule: its site is shared if it conflicts with what others did since the task's last. */
  observe(task: number, site: number, { reads, writes }: AccessEffect): void {
    const since = this.#lastAt[task];
    const now = ++this.#time;
    const isLater = (at: number | undefined) => at !== undefined && at > since;
    for (const [other, written] of this.#writtenAt.entries()) {
      if (other === task) continue;
      const read = this.#readAt[other];
      if (reads.some((word) => isLater(written.get(word)))) this.#isShared[site] = true;
      if (writes.some((word) => isLater(written.get(word)) || isLater(read.get(word)))) this.#isShared[site] = true;
    }
    for (const word of reads) this.#readAt[task].set(word, now);
    for (const word of writes) this.#writtenAt[task].set(word, now);
    this.#lastAt[task] = now;
  }

  /** The number of a tail; 0 is the empty one. */
  tail(accesses: readonly { site: number; effect: AccessEffect }[]): number {
    if (accesses.length === 0) return 0;
    const key = accesses.map(({ site, effect }) => `${site}:${effect.conditions}:${effect.writes}`).join(' ');
    let number = this.#tailOf.get(key);
    if (number === undefined) {
      const tail: Tail = { readers: new Map(), writers: new Map() };
      for (const { site, effect } of accesses) {
        for (const word of effect.conditions) note(tail.readers, word, site);
        for (const word of effect.writes) note(tail.writers, word, site);
      }
      this.#tailOf.set(key, (number = this.#tails.push(tail) - 1));
    }
    return number;
  }

  /** The words that a tail reads and writes. */
  wordsOf(tail: number): Set<number> {
    const { readers, writers } = this.#tails[tail];
    return new Set([...readers.keys(), ...writers.keys()]);
  }

  /** Forgets which steps have met which tails: steps get new numbers. */
  forget(): void {
    this.#checked = new PairMap();
  }

  /** Another task makes step `step` behind a tail. True if a site has ceased to be local. */
  meet(step: number, words: StepWords, tail: number): boolean {
    if (this.#checked.get(step, tail) >= 0) return false;
    this.#checked.add(step, tail, 1);
    return this.#compare(words, this.#tails[tail]);
  }

  #compare({ reads, writes }: StepWords, { readers, writers }: Tail): boolean {
    let isNews = false;
    const share = (sites: Set<number> | undefined) => {
      for (const site of sites ?? []) {
        isNews ||= !this.#isShared[site];
        this.#isShared[site] = true;
      }
    };
    for (const word of reads) share(writers.get(word));
    for (const word of writes) {
      share(writers.get(word));
      share(readers.get(word));
    }
    return isNews;
  }

  #add(): number {
    return this.#isShared.push(false) - 1;
  }
}

function note(sites: Map<number, Set<number>>, word: number, site: number): void {
  const known = sites.get(word);
  if (known) known.add(site);
  else sites.set(word, new Set([site]));
}
