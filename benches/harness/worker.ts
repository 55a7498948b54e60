// One variant of one case, alone in its process: type feedback of one variant would change the code of the next.
// Arguments: question, case, variant, rounds, milliseconds a round. Prints one line of JSON.
import { Bench } from 'tinybench';
import type { Measured } from './measured.ts';
import type { Question, Work } from './question.ts';

/** Operations whose checksum is compared with other variants'. */
const CHECKED_OPERATIONS = 2000;

const [name, caseId, variant, rounds, roundMs] = process.argv.slice(2);

/** Milliseconds for `count` operations: CPU time, so that other processes' work does not count, or what the clock says. */
async function spentMs({ run, wallClock }: Work, count: number): Promise<number> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await run(count);
  const { user, system } = process.cpuUsage(before);
  return wallClock ? performance.now() - start : (user + system) / 1000;
}

/**
 * How many operations take a round's time; grows until it is so, which warms the code up as well. Of two runs the shorter
 * counts: compilation of the code in the other one is not its speed.
 */
async function calibrate(work: Work): Promise<number> {
  const wanted = Number(roundMs);
  for (let count = 1; ; ) {
    const ms = Math.min(await spentMs(work, count), await spentMs(work, count));
    if (ms >= wanted / 2) return Math.max(1, Math.round((count * wanted) / ms));
    count = Math.ceil(count * Math.min(8, Math.max(2, wanted / Math.max(ms, 0.01))));
  }
}

async function measure(): Promise<Measured> {
  const { default: question } = (await import(`../${name}.js`)) as { default: Question };
  const { variants, agree } = question.cases.find(({ id }) => id === caseId)!;
  const work = await variants[variant]();
  if (typeof work === 'string') return { skipped: work };
  if ('pass' in work) {
    const { ns, operations } = work.pass();
    return { ns, checksum: 0, operationsPerRound: operations, figures: work.figures?.() ?? {} };
  }
  const checksum = agree ? (await work.run(CHECKED_OPERATIONS)) >>> 0 : 0;
  const count = await calibrate(work);
  const bench = new Bench({
    warmupIterations: 2,
    warmupTime: 0,
    iterations: Number(rounds),
    time: 0,
    retainSamples: true,
  });
  bench.add(variant, async () => ({ overriddenDuration: await spentMs(work, count) }));
  const [task] = await bench.run();
  const { result } = task;
  if (!('latency' in result)) throw new Error(`${name} ${caseId} ${variant} was not measured: ${result.state}`);
  const ns = (result.latency.samples as number[]).map((ms) => (ms * 1e6) / count);
  const figures = work.figures?.() ?? {};
  await work.close?.();
  return { ns, checksum, operationsPerRound: count, figures };
}

process.stdout.write(`${JSON.stringify(await measure())}\n`);
