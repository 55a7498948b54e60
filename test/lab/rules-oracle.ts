/**
 * A second, deliberately naive model of the bug: the rules of Xen's allocation, of qemu ≥ 2.1 and of the guest's
 * re-use, on plain objects and without any register, hypercall or kernel code. What it counts by trying every order
 * is what the machine must find.
 */
export type Rule = 'R1' | 'R2' | 'Rideal';

/** Whether the device model takes a message that was there before for news. */
export type Compare = 'value' | 'value-and-pirq';

interface Record {
  pirq: number;
  controller: number;
  entry: number;
  hasPort: boolean;
}

class Rules {
  readonly #rule: Rule;
  readonly #vectors: number;
  readonly #compare: Compare;
  readonly #taken = new Set<number>();
  /** pirq → controller and entry that it is mapped for. */
  readonly #mapped = new Map<number, string>();
  readonly #tables: number[][];
  readonly #written: boolean[][];
  #records: Record[] = [];
  readonly #stopped: boolean[];

  constructor(rule: Rule, controllers: number, vectors: number, compare: Compare) {
    this.#rule = rule;
    this.#compare = compare;
    this.#vectors = vectors;
    this.#tables = Array.from({ length: controllers }, () => new Array(vectors).fill(0));
    this.#written = Array.from({ length: controllers }, () => new Array(vectors).fill(false));
    this.#stopped = new Array(controllers).fill(false);
  }

  run(controller: number, step: number): void {
    if (this.#stopped[controller]) return;
    if (step === 0) {
      this.#enable(controller, 1);
      this.#start(controller, 0);
      this.#stopUnlessDelivered(controller);
    } else if (step === 1) this.#disable(controller);
    else if (step === 2) this.#enable(controller, this.#vectors);
    else if (step === 3) {
      this.#start(controller, 0);
      this.#stopUnlessDelivered(controller);
    } else for (let entry = 1; entry < this.#vectors; entry++) this.#start(controller, entry);
  }

  isGood(controller: number): boolean {
    return this.#tables[controller].every((_, entry) => this.#delivers(controller, entry));
  }

  #enable(controller: number, count: number): void {
    const table = this.#tables[controller];
    for (let entry = 0; entry < count; entry++) {
      const marker = table[entry];
      const held = this.#records.some((r) => r.pirq === marker);
      const reuse = marker > 0 && (this.#rule === 'Rideal' || (this.#rule === 'R1' && held));
      if (!reuse) {
        const pirq = this.#allocate();
        this.#written[controller][entry] = this.#compare === 'value-and-pirq' || table[entry] !== pirq;
        table[entry] = pirq;
      }
      this.#records.push({ pirq: table[entry], controller, entry, hasPort: false });
    }
    for (let entry = 0; entry < count; entry++) {
      if (!this.#written[controller][entry]) continue;
      this.#mapped.set(table[entry], `${controller}.${entry}`);
      this.#written[controller][entry] = false;
    }
  }

  #start(controller: number, entry: number): void {
    const record = this.#records.find((r) => r.controller === controller && r.entry === entry);
    if (record) record.hasPort = !this.#records.some((r) => r.hasPort && r.pirq === record.pirq);
  }

  #disable(controller: number): void {
    for (const [pirq, owner] of this.#mapped) {
      if (!owner.startsWith(`${controller}.`)) continue;
      this.#mapped.delete(pirq);
      this.#taken.delete(pirq);
    }
    this.#written[controller].fill(false);
    this.#records = this.#records.filter((r) => r.controller !== controller);
  }

  #delivers(controller: number, entry: number): boolean {
    const pirq = this.#tables[controller][entry];
    if (this.#mapped.get(pirq) !== `${controller}.${entry}`) return false;
    const holder = this.#records.find((r) => r.pirq === pirq && r.hasPort);
    return holder?.controller === controller && holder.entry === entry;
  }

  #stopUnlessDelivered(controller: number): void {
    if (!this.#delivers(controller, 0)) this.#stopped[controller] = true;
  }

  #allocate(): number {
    for (let pirq = 55; pirq >= 24; pirq--) {
      if (this.#taken.has(pirq)) continue;
      this.#taken.add(pirq);
      return pirq;
    }
    throw new Error('pool empty');
  }
}

/** Interleavings of five steps a controller by the number of good controllers, after `prefix` has run. */
export function countByRules(
  rule: Rule,
  controllers: number,
  vectors: number,
  prefix: number[],
  compare: Compare = 'value-and-pirq',
): Map<number, bigint> {
  const counts = new Map<number, bigint>();
  const remaining = new Array(controllers).fill(5);
  for (const controller of prefix) remaining[controller]--;
  const schedule = [...prefix];
  const visit = () => {
    let isEnd = true;
    for (let c = 0; c < controllers; c++) {
      if (remaining[c] === 0) continue;
      isEnd = false;
      remaining[c]--;
      schedule.push(c);
      visit();
      schedule.pop();
      remaining[c]++;
    }
    if (!isEnd) return;
    const good = goodAfter(rule, controllers, vectors, schedule, compare);
    counts.set(good, (counts.get(good) ?? 0n) + 1n);
  };
  visit();
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** How many controllers are good after one schedule. */
export function goodAfter(
  rule: Rule,
  controllers: number,
  vectors: number,
  schedule: readonly number[],
  compare: Compare = 'value-and-pirq',
): number {
  const rules = new Rules(rule, controllers, vectors, compare);
  const done = new Array(controllers).fill(0);
  for (const c of schedule) rules.run(c, done[c]++);
  return Array.from({ length: controllers }, (_, c) => rules.isGood(c)).filter(Boolean).length;
}
