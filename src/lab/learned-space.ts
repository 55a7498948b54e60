import { Prng } from '../core/index.ts';
import { AccessBook } from './access-book.ts';
import { BLOCK_WORDS, BlockPool, NO_WRITE } from './block-pool.ts';
import { Columns, Projection } from './columns.ts';
import { DecisionTrees } from './decision-trees.ts';
import { doubled } from './int-tables.ts';
import { Locality, type StepWords } from './locality.ts';
import { NamelessStates } from './nameless-states.ts';
import { Places, type Stand } from './places.ts';
import { RowSet } from './row-set.ts';
import { Sections } from './sections.ts';
import { BeginAnew, NameBits, type StateSpace } from './state-space.ts';
import type { StepRun, WordChange } from './step-run.ts';
import { StepRunner } from './step-runner.ts';
import type { Stepper } from './stepper.ts';
import { outcomeOf, type WatchableWorld } from './world.ts';

/** Schedules that are run at random before exploring, so that most of what there is to learn is known. */
const REHEARSALS = { coarse: 2, group: 2, fine: 8 };
/** Columns kept for words that turn out to change only while exploring. */
const SPARE_COLUMNS = 8;
/** How long exploring goes on when it is known that it will begin anew. */
const PATIENCE = 1.25;
const PATIENCE_STEPS = 5_000;
/** States that are looked at by the watched world, to find out what identity and invariants depend on. */
const WATCHED_LOOKS = 400;

/** What a step does to the words that it does not leave alone. */
interface StepEffect {
  next: number;
  columns: Int32Array;
  /** For each column a number that stands for what is written there. */
  writes: Int32Array;
  broken: number;
  steps: number;
  accesses: number;
  merged: number;
  /** The state without names may be another, or is another to a task that will give up no more names. */
  changesIdentity: boolean;
  changesInvariants: boolean;
  /** Where some accesses are no choice points: the step's number, and its words. */
  id: number;
  words: StepWords | undefined;
}

/** States of a layer; `broken` has the invariants that each state breaks, as bits. */
export interface LearnedLayer {
  readonly set: RowSet;
  broken: Int32Array;
  /** Where tasks are alike: the order in which each state tells them. */
  orders: number[];
}

/**
 * States as rows of small numbers: where each task stands, and for every run of up to 16 words that ever change the
 * number of their contents. A step is a function of the words that its accesses read, known by example (see
 * {@link AccessBook}), so a step that was taken once in like circumstances is a walk down a decision tree; what is new is
 * put together from known accesses, and only an access not met before is run.
 */
export class LearnedSpace implements StateSpace<LearnedLayer> {
  readonly tasks: number;
  readonly isAlike: boolean;
  renaming: readonly number[] | undefined;
  readonly invariants: readonly string[];
  broken = 0;
  stepsTaken = 1;
  accesses = 0;
  merged = 0;
  readonly #world: WatchableWorld;
  readonly #stepper: Stepper;
  readonly #bits = new NameBits();
  readonly #book: AccessBook;
  readonly #locality: Locality | undefined;
  readonly #initial: Int32Array;

  readonly #pool = new BlockPool();
  readonly #columns: Columns;
  readonly #places: Places;
  /** Where the tasks of a state stand, see {@link Stand.alike}. */
  readonly #alikeStands: number[] = [];
  readonly #sections: Sections;
  #trees = new DecisionTrees();
  #effects: StepEffect[] = [];

  /** The world's state, and the row that it is of. */
  readonly #words: Int32Array;
  #loaded = new Int32Array(0);
  readonly #nameless: NamelessStates | undefined;
  readonly #stateBroken: Projection;
  readonly #runner: StepRunner;
  #looks = 0;
  #stride = 0;
  #steps = 0;
  /** Steps made when an assumption was found wrong; 0: none was. */
  #doubtedAt = 0;

  /**
   * @param isMerging fine steps that are no choice points are made at once with the one before
   * @param isAlike tasks differ in nothing but their names; what they are called tells no states apart then
   * @param isPart not all interleavings are followed: what shows only in others is not supposed
   */
  constructor(world: WatchableWorld, stepper: Stepper, { isMerging = true, isPart = false, isAlike = false } = {}) {
    this.#world = world;
    this.#sections = new Sections(world.names?.free, isPart);
    this.#stepper = stepper;
    this.tasks = stepper.tries.length;
    this.invariants = this.#bits.names;
    this.#initial = world.arena.words.slice();
    this.#words = world.arena.words;
    const { arena, names } = world;
    this.isAlike = isAlike && stepper.grain === 'group' && !isPart && NamelessStates.canBeAlike(world);
    const own = new Set(this.isAlike ? names!.alike!.words.flatMap((words) => [...words]) : []);
    const isName = (word: number) => !arena.isIdentity(word);
    const isTold = (word: number) => isName(word) || own.has(word);
    const first = Array.from({ length: this.tasks + 1 }, (_, column) => column);
    this.#columns = new Columns(arena, first.length, this.isAlike ? [this.tasks] : first, (word) => !isTold(word));
    if (names) this.#nameless = new NamelessStates(names, this.#columns, isName, this.#words, this.tasks, this.isAlike);
    this.#stateBroken = new Projection(this.#columns, undefined, { isName: isTold, column: this.tasks });
    this.#places = new Places(
      stepper,
      this.#sections,
      (node, tail) => this.#nameless?.pinsOf(node, this.#locality?.wordsOf(tail)) ?? 0,
    );
    this.#places.replant(this.#trees);
    this.#book = new AccessBook(
      world,
      this.#bits,
      (word) => this.#columns.add(word),
      (words) => this.#doubt(this.#columns.addRead(words)),
    );
    this.#locality = isMerging && stepper.grain === 'fine' ? new Locality(this.tasks) : undefined;
    this.#runner = new StepRunner(stepper, this.#book, this.#locality, this.#words);
    this.#rehearse();
  }

  start(prefix: readonly number[]): LearnedLayer {
    const { arena } = this.#world;
    arena.restore(this.#initial);
    const positions = this.#stepper.start();
    for (const task of prefix) positions[task] = this.#stepper.step(task, positions[task]);
    this.#world.takeBroken();
    const words = arena.words.slice();
    for (const [word, value] of words.entries()) if (value !== this.#initial[word]) this.#book.makeVariable(word);

    this.#stride = this.#columns.count + SPARE_COLUMNS;
    this.#loaded = new Int32Array(this.#stride);
    this.#words.set(this.#initial);
    const layer = this.layer();
    const at = layer.set.open();
    const { rows } = layer.set;
    for (const [task, position] of positions.entries()) rows[at + task] = this.#places.of(task, position);
    const block = new Int32Array(BLOCK_WORDS);
    for (let column = this.tasks + 1; column < this.#columns.count; column++) {
      block.fill(0);
      for (const [i, word] of this.#columns.words[column].entries()) block[i] = words[word] ^ this.#initial[word];
      rows[at + column] = this.#pool.intern(block);
    }
    rows[at + this.tasks] = this.#identityOfRow(rows, at);
    layer.set.close(this.#columns.key);
    layer.orders[0] = this.#nameless?.order ?? 0;
    layer.broken[0] = this.#brokenIn(rows, at);
    return layer;
  }

  layer(used?: LearnedLayer): LearnedLayer {
    if (used?.set.stride !== this.#stride)
      return { set: new RowSet(this.#stride), broken: new Int32Array(64), orders: [] };
    used.set.clear();
    return used;
  }

  size(layer: LearnedLayer): number {
    return layer.set.count;
  }

  isDone({ set }: LearnedLayer, state: number, task: number): boolean {
    return this.#places.all[set.rows[state * set.stride + task]].stand.isDone;
  }

  isIdle({ set }: LearnedLayer, state: number, task: number): boolean {
    return this.#places.all[set.rows[state * set.stride + task]].stand.position.steps === 0;
  }

  step(from: LearnedLayer, state: number, task: number, to: LearnedLayer): number {
    if (++this.#steps > PATIENCE * this.#doubtedAt + PATIENCE_STEPS && this.#doubtedAt > 0) this.#beginAnew();
    const source = from.set.rows;
    const base = state * this.#stride;
    const { root } = this.#places.all[source[base + task]].stand;
    const found = this.#trees.findByBlock(root, source, base, this.#pool.words);
    const effect = found >= 0 ? this.#effects[found] : this.#learn(source, base, task);
    if (this.#locality && !this.#runner.isRehearsing) this.#meetOthers(this.#locality, effect, source, base, task);

    const at = to.set.open();
    const { rows } = to.set;
    for (let i = 0; i < this.#stride; i++) rows[at + i] = source[base + i];
    rows[at + task] = effect.next;
    const { columns, writes } = effect;
    for (let i = 0; i < columns.length; i++) rows[at + columns[i]] = this.#pool.write(writes[i], rows[at + columns[i]]);
    const { pins } = this.#places.all[source[base + task]];
    if (this.isAlike || effect.changesIdentity || pins !== this.#places.all[effect.next].pins)
      rows[at + this.tasks] = this.#identityOfRow(rows, at);
    const known = to.set.count;
    const target = to.set.close(this.#columns.key);
    if (target === known) {
      if (target >= to.broken.length) to.broken = doubled(to.broken);
      to.broken[target] = effect.changesInvariants ? this.#brokenIn(rows, at) : from.broken[state];
    }
    if (this.isAlike) this.#rename(to, target, target === known);
    this.broken = effect.broken | to.broken[target];
    this.stepsTaken = effect.steps;
    this.accesses = effect.accesses;
    this.merged = effect.merged;
    return target;
  }

  /** What the tasks of the state just made are called in the state that it is known as. */
  #rename({ orders }: LearnedLayer, state: number, isNew: boolean): void {
    const { order, orders: permutations } = this.#nameless!;
    if (isNew) orders[state] = order;
    const renaming = permutations.between(order, orders[state]);
    this.renaming = renaming === 0 ? undefined : permutations.all[renaming];
  }

  outcome({ set }: LearnedLayer, state: number): string {
    this.#load(set.rows, state * set.stride);
    if (this.#looks++ < WATCHED_LOOKS) this.#book.watch(this.#words, (world) => world.verdict());
    const before = this.#words.slice();
    const outcome = outcomeOf(this.#world.verdict());
    this.#words.set(before);
    return outcome;
  }

  /** Runs some schedules at random, access by access if the grain is fine, so that little is left to be surprised by. */
  #rehearse(): void {
    const prng = new Prng(1);
    for (let n = 0; n < REHEARSALS[this.#stepper.grain]; ) {
      try {
        let layer = this.start([]);
        let last = -1;
        this.#locality?.beginSchedule();
        for (;;) {
          const running: number[] = [];
          for (let task = 0; task < this.tasks; task++) if (!this.isDone(layer, 0, task)) running.push(task);
          if (running.length === 0) {
            this.#load(layer.set.rows, 0);
            this.#book.watch(this.#words, (world) => world.verdict());
            break;
          }
          const next = this.layer();
          // the first schedule is one task after another; in the others a task goes on for longer and longer
          if (n === 0) last = running[0];
          else if (!running.includes(last) || prng.below(1 + 3 * n) === 0) last = prng.pick(running);
          this.step(layer, 0, last, next);
          layer = next;
        }
        n++;
      } catch (error) {
        if (!(error instanceof BeginAnew)) throw error;
      }
    }
    this.#runner.isRehearsing = false;
    this.#steps = 0;
    this.#forgetSteps();
  }

  /** Checks that what the others have done without a choice was none. */
  #meetOthers(locality: Locality, effect: StepEffect, rows: Int32Array, at: number, task: number): void {
    let isNews = false;
    for (let other = 0; other < this.tasks; other++) {
      const { tail } = this.#places.all[rows[at + other]];
      if (other !== task && tail > 0) isNews = locality.meet(effect.id, effect.words!, tail) || isNews;
    }
    this.#doubt(isNews);
  }

  /**
   * An assumption was wrong. What is known is corrected at once, but exploring goes on for a while before it begins
   * anew, as one surprise seldom comes alone.
   */
  #doubt(isWrong: boolean): void {
    if (isWrong && !this.#runner.isRehearsing && this.#doubtedAt === 0) this.#doubtedAt = this.#steps;
  }

  settle(): void {
    if (this.#doubtedAt > 0) this.#beginAnew();
  }

  #identityOfRow(rows: Int32Array, at: number): number {
    if (!this.#nameless) return 0;
    let settled = 0;
    let pins = 0;
    for (let task = 0; task < this.tasks; task++) {
      const { stand, pins: own } = this.#places.all[rows[at + task]];
      if (!stand.section.givesUp) settled |= 1 << task;
      if (own !== 0) pins = this.#nameless.pins.union(pins, own);
      this.#alikeStands[task] = stand.alike;
    }
    const load = () => this.#load(rows, at);
    if (this.isAlike) return this.#nameless.valueAlike(rows, at, this.#alikeStands, settled, load);
    return this.#nameless.value(rows, at, settled, pins, load);
  }

  #brokenIn(rows: Int32Array, at: number): number {
    return this.#stateBroken.value(rows, at, 0, () =>
      this.#bits.of(this.#look(this.#stateBroken, rows, at, (world) => world.presentlyBroken())),
    );
  }

  /** Asks the world about a state; the first times it is watched, so as to know what the answer depends on. */
  #look<R>(projection: Projection, rows: Int32Array, at: number, ask: (world: WatchableWorld) => R): R {
    this.#load(rows, at);
    if (this.#looks++ >= WATCHED_LOOKS) return ask(this.#world);
    const { answer, reads } = this.#book.watch(this.#words, ask);
    if (projection.learn(reads)) this.#beginAnew();
    return answer;
  }

  /** What was put together so far no longer holds. */
  #beginAnew(): never {
    this.#forgetSteps();
    this.#nameless?.forget();
    this.#steps = 0;
    this.#doubtedAt = 0;
    throw new BeginAnew();
  }

  #forgetSteps(): void {
    this.#trees = new DecisionTrees();
    this.#effects = [];
    this.#places.replant(this.#trees);
    this.#locality?.forget();
  }

  /** Puts the state of a row into `#words`. */
  #load(rows: Int32Array, at: number): void {
    const { words: wordsOf, count } = this.#columns;
    const pool = this.#pool.words;
    for (let column = this.tasks + 1; column < count; column++) {
      const block = rows[at + column];
      if (block === this.#loaded[column]) continue;
      this.#loaded[column] = block;
      const words = wordsOf[column];
      for (let i = 0; i < words.length; i++)
        this.#words[words[i]] = this.#initial[words[i]] ^ pool[block * BLOCK_WORDS + i];
    }
  }

  /** Puts a step together from its accesses. */
  #learn(rows: Int32Array, at: number, task: number): StepEffect {
    const from = this.#places.all[rows[at + task]].stand;
    for (;;) {
      this.#load(rows, at);
      const { run } = this.#runner;
      const { epoch } = this.#book;
      try {
        const { node, tail, steps } = this.#runner.step(task, from.position);
        if (this.#columns.count > this.#stride) this.#beginAnew();
        if (epoch === this.#book.epoch) {
          const after = this.#stepper.after(task, from.position, node);
          const next = this.#places.of(task, after, this.#locality?.tail(tail));
          const outcome = run.outcome();
          this.#doubt(this.#sections.follow(from.section, this.#places.all[next].stand.section, outcome));
          return this.#keep(from, rows, at, this.#effectOf(run, outcome, from, next, steps));
        }
      } finally {
        run.undo();
      }
      this.#forgetSteps();
    }
  }

  #keep(from: Stand, rows: Int32Array, at: number, effect: StepEffect): StepEffect {
    const pool = this.#pool.words;
    const conditions = this.#runner.run.conditions.map((word) => this.#columns.placeOf(word));
    const read = (place: number) => pool[rows[at + (place >> 4)] * BLOCK_WORDS + (place & 15)];
    this.#trees.insert(from.root, conditions, read, this.#effects.push(effect) - 1);
    return effect;
  }

  #effectOf(run: StepRun, outcome: readonly WordChange[], from: Stand, next: number, steps: number): StepEffect {
    // the columns written, each with the number of what is written there; words of a column need not be neighbours
    const columns: number[] = [];
    const writes: number[] = [];
    for (const { word, value } of outcome) {
      const place = this.#columns.placeOf(word);
      let at = columns.indexOf(place >> 4);
      if (at < 0) {
        at = columns.push(place >> 4) - 1;
        writes.push(NO_WRITE);
      }
      writes[at] = this.#pool.writeAlso(writes[at], place & 15, value ^ this.#initial[word]);
    }
    return {
      next,
      columns: Int32Array.from(columns),
      writes: Int32Array.from(writes),
      broken: run.broken,
      steps,
      accesses: run.accesses,
      merged: steps - 1,
      changesIdentity:
        from.section.givesUp !== this.#places.all[next].stand.section.givesUp ||
        columns.some((column) => this.#nameless?.dependsOn(column)),
      changesInvariants: columns.some((column) => this.#stateBroken.dependsOn(column)),
      id: this.#effects.length,
      words: this.#locality && { reads: [...run.conditions], writes: outcome.map(({ word }) => word) },
    };
  }
}
