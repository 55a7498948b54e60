import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { CaseConfig } from '../lab/case.ts';
import { type CellFinding, findCell } from '../lab/matrix.ts';

/** Cells are answered in worker threads, as many as there are processors: they share nothing, so their order does not matter. */
export async function findCells(
  configs: readonly CaseConfig[],
  onDone: (finished: number) => void,
): Promise<CellFinding[]> {
  const self = new URL(import.meta.url);
  const threads = Math.min(availableParallelism(), configs.length);
  // the TypeScript sources cannot be loaded by a plain worker; tests run the cells here
  if (threads < 2 || self.pathname.endsWith('.ts')) return configs.map((config, i) => done(findCell(config), i));

  function done(finding: CellFinding, i: number): CellFinding {
    onDone(i + 1);
    return finding;
  }

  const findings: CellFinding[] = [];
  let next = 0;
  let finished = 0;
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(self);
      const give = () => {
        if (next < configs.length) worker.postMessage({ index: next, config: configs[next++] });
        else worker.terminate().then(() => resolve());
      };
      worker.on('message', ({ index, finding }: { index: number; finding: CellFinding }) => {
        findings[index] = finding;
        onDone(++finished);
        give();
      });
      worker.on('error', reject);
      give();
    });
  await Promise.all(Array.from({ length: threads }, work));
  return findings;
}

if (!isMainThread)
  parentPort?.on('message', ({ index, config }: { index: number; config: CaseConfig }) => {
    parentPort?.postMessage({ index, finding: findCell(config) });
  });
