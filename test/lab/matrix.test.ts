import { describe, expect, test } from 'vitest';
import { getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import { prepareCase } from '../../src/lab/case.ts';
import { ALL_WORKLOADS, type Cell, findCell, makeCell, matrixConfigs } from '../../src/lab/matrix.ts';
import { defaultRows, expectation, rowOf } from '../../src/lab/scenarios/lp1657489.ts';
import { parseSchedule } from '../../src/lab/schedule.ts';
import { tell } from '../../src/lab/telling.ts';
import { chromeTrace } from '../../src/report/chrome-trace.ts';
import { matrixHtml } from '../../src/report/matrix-html.ts';
import { matrixJson } from '../../src/report/matrix-json.ts';
import { isAsExpected, matrixLines, storyLines } from '../../src/report/matrix-text.ts';
import { deviceModel, withSwitches as withDeviceModelSwitches } from '../../src/xen/device-model/index.ts';

const cells: Cell[] = matrixConfigs(defaultRows(), ALL_WORKLOADS, { controllers: 2, vectors: 2 }).map(
  ({ row, config }) => makeCell(row, config, findCell(config)),
);
const replay = () => 'pirqlab explore …';

describe('the matrix with two controllers and two vectors', () => {
  test('every cell is as expected, and expectations exist for all of them', () => {
    expect(cells).toHaveLength(20);
    for (const cell of cells) {
      expect(cell.expected, `${cell.row.case} ${cell.workload}`).toBeDefined();
      expect(isAsExpected(cell), `${cell.row.case} ${cell.workload}: ${cell.finding.verdict}`).toBe(true);
    }
  });

  test('a cell that is not as expected is told and marked', () => {
    const wrong = { ...cells[0], expected: { verdict: 'fails' as const, source: 'nobody' } };
    const text = matrixLines([wrong, ...cells.slice(1)]).join('\n');
    expect(text).toContain('expected "fails" (nobody), found "works"');
  });

  test('the simplest failure replays to what was told of it', () => {
    for (const { config, finding } of cells) {
      if (!finding.failure) continue;
      const { controllers, vectors, schedule, telling } = finding.failure;
      const prepared = prepareCase({ ...config, controllers, vectors });
      const again = tell(prepared, parseSchedule(schedule, prepared.digest, controllers));
      expect(again).toEqual(telling);
      expect(again.verdict.every((state) => state === 'good')).toBe(false);
      expect(again.broken.length).toBeGreaterThan(0);
    }
  });

  test('case 2 needs one controller and one vector to fail, case 3 needs two controllers', () => {
    const failure = (row: number) =>
      cells.find((c) => c.row.case === row && c.workload === 'one-disable-many')!.finding.failure!;
    expect(failure(2)).toMatchObject({ controllers: 1, vectors: 1 });
    expect(failure(3)).toMatchObject({ controllers: 2, vectors: 1 });
  });

  test('text names what differs from the report and tells a story for every failing cell', () => {
    const text = [...matrixLines(cells), ...storyLines(cells, replay)].join('\n');
    expect(text).toContain('case 1 with rule R1: the report says it works');
    expect(text).toContain('case 1 with the marker-only rule (Rideal): works, as the report says.');
    expect(text).toContain('Upgrade hypervisors first');
    expect(text.match(/the simplest failing run needs/g)).toHaveLength(cells.filter((c) => c.finding.failure).length);
    expect(text).toContain('qemu   bind pirq 54 of A: -EPERM');
  });

  test('JSON holds the same and survives a round trip', () => {
    const json = JSON.parse(JSON.stringify(matrixJson(cells, replay)));
    expect(json.asExpected).toBe(true);
    expect(json.rows[3].cells[1].good).toEqual({ 0: 82, 1: 68, 2: 102 });
  });

  test('the page stands alone: no script, nothing fetched, a timeline for each failing cell', () => {
    const page = matrixHtml(cells, replay);
    expect(page).not.toMatch(/<script|https?:\/\/|src=|@import|url\((?!#)/);
    expect(page.match(/<svg /g)).toHaveLength(cells.filter((c) => c.finding.failure).length);
  });

  test('the Chrome trace has an arrow from every cause to its effect', () => {
    const { events } = cells.find((c) => c.finding.failure)!.finding.failure!.telling;
    const { traceEvents } = JSON.parse(chromeTrace(events, 'a run'));
    const flows = traceEvents.filter((e: { ph: string }) => e.ph === 's' || e.ph === 'f');
    expect(flows).toHaveLength(2 * events.filter((e) => e.cause !== undefined).length);
    expect(traceEvents.filter((e: { ph: string }) => e.ph === 'X')).toHaveLength(events.length);
    const handler = events.find((e) => e.name === 'handler')!;
    const chain: string[] = [];
    for (let seq = handler.cause; seq !== undefined; seq = events[seq].cause) chain.push(events[seq].layer);
    expect(chain).toEqual(expect.arrayContaining(['xen', 'device', 'guest']));
    const map = events.find((e) => e.name === 'map')!;
    expect(events[map.cause!]).toMatchObject({ layer: 'guest', name: 'cfg.w16' });
    expect(events.some((e) => e.layer === 'xen' && e.name === 'hypercall' && e.cause === map.seq)).toBe(true);
  });
});

test('a pair belongs to a row by what it does, not by its name', () => {
  const keeps = withDeviceModelSwitches(deviceModel('qemu-7.2'), { freeOnDisable: false });
  const kernel = withSwitches(getKernelProfile('linux-6.1'), { reuse: 'R1' });
  expect(rowOf({ deviceModel: keeps, kernel }).case).toBe(1);
  expect(rowOf({ deviceModel: deviceModel('qemu-7.2'), kernel: getKernelProfile('linux-6.1') }).case).toBe(4);
});

test('a driver that polls is expected to be slow where another fails, as measured on Linux 6.1', () => {
  const keeps = withDeviceModelSwitches(deviceModel('qemu-7.2'), { freeOnDisable: false });
  const side = { deviceModel: keeps, kernel: getKernelProfile('linux-6.1') };
  expect(expectation(side, 'one-disable-many')?.verdict).toBe('slow');
  const [{ row, config }] = matrixConfigs([rowOf(side)], ['one-disable-many'], { controllers: 2, vectors: 3 });
  expect(isAsExpected(makeCell(row, config, findCell(config)))).toBe(true);
});
