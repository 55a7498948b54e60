import { Prng } from '../src/core/index.ts';
import { getKernelProfile } from '../src/guest/index.ts';
import { amplestHost, BRINGUP_SERIES, BringUp, type BringUpStop, bringUpStops } from '../src/lab/index.ts';
import { deviceModel } from '../src/xen/device-model/index.ts';
import { getXenProfile } from '../src/xen/index.ts';
import type { Case, OnePass, Question, TextTable } from './harness/question.ts';

const KERNEL = 'linux-6.1';
const QUEUES = 2048;
/** Parts of a pass, to show that it does not slow down. */
const PARTS = 8;
/** Brought up before, so that the code is compiled. */
const WARM_UP = { controllers: 16, queues: 1024 };
const CHECKED_READS = 200;

function prepare(controllers: number, queues: number): BringUp {
  return new BringUp({
    xen: getXenProfile('xen-unbounded'),
    kernel: getKernelProfile(KERNEL),
    deviceModel: deviceModel('qemu-7.2'),
    controllers,
    queues,
    host: amplestHost(controllers, queues),
  });
}

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Probes controllers `from` … `end` − 1. @throws if one does not come up with all its vectors */
function probeAll(run: BringUp, from: number, end: number): void {
  for (let i = from; i < end; i++) {
    const { state, vectors } = run.probe(i);
    if (state !== 'up' || vectors !== run.shape.vectors)
      throw new Error(`controller ${i}: ${state} with ${vectors} vectors; ${JSON.stringify(run.refusal)}`);
  }
}

/** @throws if a vector is not connected through to its device, or a queue picked at random does not deliver */
function check(run: BringUp): void {
  const controllers = run.slots.length;
  const flaw = run.findFlaw(controllers);
  if (flaw) throw new Error(flaw);
  const prng = new Prng(1);
  for (let n = 0; n < CHECKED_READS; n++) {
    const [controller, queue] = [prng.below(controllers), 1 + prng.below(run.shape.queues)];
    if (!run.readBlock(controller, queue)) throw new Error(`controller ${controller} queue ${queue} does not deliver`);
  }
}

function bringUp(controllers: number, queues: number): OnePass {
  const figures: Record<string, number> = {};
  const pass = () => {
    const warm = prepare(WARM_UP.controllers, WARM_UP.queues);
    probeAll(warm, 0, WARM_UP.controllers);
    let run!: BringUp;
    const attachMs = cpuMs(() => void (run = prepare(controllers, queues)));
    const parts = Math.min(PARTS, controllers);
    const vectors = run.shape.vectors * controllers;
    const ms: number[] = [];
    for (let part = 0; part < parts; part++) {
      const [from, end] = [part, part + 1].map((p) => Math.floor((p * controllers) / parts));
      ms.push(cpuMs(() => probeAll(run, from, end)));
    }
    const totalMs = ms.reduce((a, b) => a + b);
    globalThis.gc?.();
    const { heapUsed } = process.memoryUsage();
    check(run);
    Object.assign(figures, {
      vectors,
      vectorsPerSecond: (vectors / totalMs) * 1000,
      bytesPerVector: run.arena.usedBytes / vectors,
      heapMiB: heapUsed / 2 ** 20,
      peakMiB: process.resourceUsage().maxRSS / 1024,
      attachSeconds: attachMs / 1000,
      probeSeconds: totalMs / 1000,
      lastPartOverFirst: ms[ms.length - 1] / ms[0],
    });
    return { ns: ms.map((part) => (part * 1e6 * parts) / vectors), operations: Math.round(vectors / parts) };
  };
  return { pass, figures: () => figures };
}

const idOf = (controllers: number, queues: number) => `${controllers} x ${queues}`;

function caseOf(controllers: number, queues: number, slow: boolean): Case {
  return {
    id: idOf(controllers, queues),
    x: controllers * queues,
    chart: queues === QUEUES ? `${QUEUES} queues each` : 'few queues each',
    slow,
    minutes: 60,
    variants: { 'whole stack': () => bringUp(controllers, queues) },
  };
}

/** Rows that differ by the release only are one. */
function stopTable(kernel: string): TextTable {
  const rows = new Map<string, { stop: BringUpStop; releases: string[] }>();
  for (const stop of bringUpStops([kernel], QUEUES)) {
    const key = JSON.stringify({ ...stop, xen: '' });
    const row = rows.get(key) ?? { stop, releases: [] };
    row.releases.push(stop.xen.replace('xen-', ''));
    rows.set(key, row);
  }
  const [{ stop: any }] = rows.values();
  return {
    title: `What stops first: ${kernel}, ${QUEUES} queues asked, ${any.queues} for want of vCPUs (${any.vectors} vectors); complete of …`,
    head: [
      'host, with what was set before',
      'Xen',
      ...BRINGUP_SERIES.map(String),
      'first limit',
      'refused',
      'the next one',
    ],
    rows: [...rows.values()].map(({ stop, releases }) => [
      stop.host,
      releases.join(' '),
      ...BRINGUP_SERIES.map((n) => (n <= stop.complete ? 'all' : `${stop.complete}`)),
      stop.limit ?? 'none',
      stop.refused ? `${stop.refused}, vector ${stop.vector}, with ${stop.after} bound` : `with ${stop.after} bound`,
      stop.outcome ?? '',
    ]),
  };
}

const SERIES: readonly (readonly [controllers: number, queues: number, slow: boolean])[] = [
  [1, QUEUES, false],
  [4, QUEUES, false],
  [16, QUEUES, false],
  [64, QUEUES, true],
  [256, QUEUES, true],
  [1024, QUEUES, true],
  [4096, QUEUES, true],
  [256, 1, false],
  [256, 16, false],
  [4096, 1, true],
  [4096, 16, true],
  [4096, 128, true],
];
const MANY = idOf(4096, QUEUES);
const FEW = idOf(64, QUEUES);

export default {
  name: 'bringup',
  title: `Bringing up NVMe controllers under xen-unbounded (${KERNEL}, qemu-7.2)`,
  operation: 'one vector, from the probe of its driver to its event channel and queue',
  xLabel: 'queues together',
  cases: SERIES.map(([controllers, queues, slow]) => caseOf(controllers, queues, slow)),
  targets: [
    {
      what: `time a vector, ${MANY} over ${FEW}`,
      is: 'at most',
      limit: 1.3,
      value: (get) => get(MANY, 'whole stack') / get(FEW, 'whole stack'),
    },
    {
      what: `last over first part of ${MANY}`,
      is: 'at most',
      limit: 1.3,
      value: (get) => get(MANY, 'whole stack', 'lastPartOverFirst'),
    },
    {
      what: `peak memory of ${MANY}, MiB`,
      is: 'at most',
      limit: 8192,
      value: (get) => get(MANY, 'whole stack', 'peakMiB'),
    },
  ],
  tables: (quick) => (quick ? [KERNEL] : [KERNEL, 'linux-4.4.0-61']).map(stopTable),
} satisfies Question as Question;
