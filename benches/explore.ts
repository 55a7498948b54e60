import { type Grain, getKernelProfile } from '../src/guest/index.ts';
import { caseConfig, exploreCase, prepareCase } from '../src/lab/case.ts';
import { deviceModel } from '../src/xen/device-model/index.ts';
import type { Case, Question, Target } from './harness/question.ts';

/** Device model and kernel by the number of the case. */
const SIDES: Record<number, [deviceModel: string, kernel: string]> = {
  2: ['qemu-2.0', 'linux-4.4.0-61'],
  3: ['qemu-2.1', 'linux-4.4.0-59'],
  4: ['qemu-2.1', 'linux-4.4.0-61'],
};
/** Beyond this an exploration is given up, and its figures are those of a part. */
const MAX_STATES = 4_000_000;

const idOf = (number: number, controllers: number, steps: Grain) => `case ${number}, ${controllers} × ${steps}`;

function exploration(number: number, controllers: number, steps: Grain, slow = true): Case {
  const [model, kernel] = SIDES[number];
  return {
    id: idOf(number, controllers, steps),
    slow,
    variants: {
      'whole state graph': () => {
        const sides = { deviceModel: deviceModel(model), kernel: getKernelProfile(kernel) };
        const prepared = prepareCase(caseConfig({ ...sides, controllers, steps }));
        let figures: Record<string, number> = {};
        const run = (count: number) => {
          const before = process.cpuUsage();
          let found = exploreCase(prepared, { maxStates: MAX_STATES });
          for (let n = 1; n < count; n++) found = exploreCase(prepared, { maxStates: MAX_STATES });
          const { user, system } = process.cpuUsage(before);
          const seconds = (user + system) / 1e6 / count;
          const { states, transitions, merged, complete } = found;
          figures = { complete: +complete, states, transitions, merged, seconds, statesPerSecond: states / seconds };
          return states;
        };
        return { run, figures: () => figures };
      },
    },
  };
}

export default {
  name: 'explore',
  title: 'Exploring every interleaving, four vectors a controller',
  operation: 'one exploration, from the first step to the last',
  xLabel: '',
  cases: [
    exploration(2, 2, 'coarse', false),
    exploration(3, 2, 'coarse', false),
    ...[2, 3, 4].map((n) => exploration(n, 3, 'coarse')),
    ...[2, 3, 4].map((n) => exploration(n, 2, 'group', n !== 2)),
    ...[2, 3, 4].map((n) => exploration(n, 3, 'group')),
    ...[2, 3, 4].map((n) => exploration(n, 2, 'fine')),
  ],
  targets: [
    ...[2, 3, 4].flatMap((n) => [
      {
        what: `seconds, case ${n}, 3 controllers, group`,
        is: 'at most' as const,
        limit: 5,
        value: secondsOf(idOf(n, 3, 'group')),
      },
      {
        what: `seconds, case ${n}, 2 controllers, fine`,
        is: 'at most' as const,
        limit: 60,
        value: secondsOf(idOf(n, 2, 'fine')),
      },
    ]),
    {
      what: 'states a second, case 2, 2 controllers, fine',
      is: 'at least',
      limit: 250_000,
      value: (get) => get(idOf(2, 2, 'fine'), 'whole state graph', 'statesPerSecond'),
    },
  ],
} satisfies Question as Question;

/** Seconds of an exploration that came to its end; one that was given up has taken for ever. */
function secondsOf(id: string): Target['value'] {
  return (get) => {
    const complete = get(id, 'whole state graph', 'complete');
    return complete === 0 ? Infinity : get(id, 'whole state graph', 'seconds');
  };
}
