import type { Access, Answer, Task } from '../guest/access.ts';

/** A point in a task: the answers that led here and what the task asks next. */
export interface TrieNode {
  /** Number in order of discovery, unique within the trie: with the shared state it identifies a global state. */
  readonly id: number;
  readonly parent: TrieNode | undefined;
  readonly answer: Answer | undefined;
  /** The next request, or undefined when the task has ended. */
  readonly request: Access | undefined;
  readonly children: Map<number | string, TrieNode>;
}

/** The node of the last step marker that leads to `node`, which may be itself; undefined if there is none. */
export function markerOf(node: TrieNode): TrieNode | undefined {
  let at: TrieNode | undefined = node;
  while (at && at.request?.op !== 'step') at = at.parent;
  return at;
}

/**
 * A task as the tree of all answer sequences met so far. A generator cannot be copied, but a guest task is a pure
 * function of its answers: what it asks at a node is computed once, and returning to the node later costs nothing.
 */
export class TaskTrie {
  readonly root: TrieNode;
  readonly #make: () => Task<unknown>;
  /** The generator of the most recent new node: a step forward from there needs no re-run. */
  #live: { node: TrieNode; generator: Task<unknown> } | undefined;
  readonly #byName = new Map<string, TrieNode>();
  #count = 0;

  constructor(make: () => Task<unknown>) {
    this.#make = make;
    const generator = make();
    const first = generator.next();
    this.root = this.#node(undefined, undefined, first.done ? undefined : first.value);
    this.#live = { node: this.root, generator };
  }

  /** The node after the task, being at `node`, has received `answer`. */
  next(node: TrieNode, answer: Answer): TrieNode {
    const key = answerKey(answer);
    const known = node.children.get(key);
    if (known) return known;
    const generator = this.#live?.node === node ? this.#live.generator : this.#rerun(node);
    const result = generator.next(answer);
    const child = this.#node(node, answer, result.done ? undefined : result.value);
    node.children.set(key, child);
    this.#live = { node: child, generator };
    return child;
  }

  /**
   * The node that stands for all nodes interchangeable with `node`: at a step marker what follows depends on its name
   * and on shared state only (see access.ts), and tasks that have ended are all alike.
   */
  representative(node: TrieNode): TrieNode {
    if (node.request && node.request.op !== 'step') return node;
    const name = node.request ? node.request.name : '';
    const known = this.#byName.get(name);
    if (!known) this.#byName.set(name, node);
    return known ?? node;
  }

  /** Number of nodes discovered. */
  get size(): number {
    return this.#count;
  }

  #node(parent: TrieNode | undefined, answer: Answer | undefined, request: Access | undefined): TrieNode {
    return { id: this.#count++, parent, answer, request, children: new Map() };
  }

  #rerun(node: TrieNode): Task<unknown> {
    const answers: Answer[] = [];
    for (let n = node; n.parent; n = n.parent) answers.push(n.answer!);
    const generator = this.#make();
    generator.next();
    while (answers.length) generator.next(answers.pop()!);
    return generator;
  }
}

function answerKey(answer: Answer): number | string {
  if (typeof answer === 'number') return answer;
  return String.fromCharCode(0x100 + (answer.ret & 0x7fff), ...answer.bytes);
}
