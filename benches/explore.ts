import type { Grain } from '../src/guest/index.ts';
import { caseConfig, exploreCase, prepareCase } from '../src/lab/case.ts';
import type { Case, Question } from './harness/question.ts';

const exploration = (controllers: number, steps: Grain, slow = false): Case => ({
  id: `${controllers} controllers, ${steps}`,
  slow,
  variants: {
    'whole state graph': () => {
      const prepared = prepareCase(caseConfig({ controllers, vectors: 2, steps }));
      let states = 0;
      let complete = true;
      let seconds = 0;
      const run = (count: number) => {
        const before = process.cpuUsage();
        for (let n = 0; n < count; n++) ({ states, complete } = exploreCase(prepared));
        const { user, system } = process.cpuUsage(before);
        seconds = (user + system) / 1e6 / count;
        return states;
      };
      const stateBytes = prepared.machine.arena.usedBytes;
      return { run, figures: () => ({ states, complete: +complete, stateBytes, statesPerSecond: states / seconds }) };
    },
  },
});

export default {
  name: 'explore',
  title: 'Exploring every interleaving of qemu-2.1 with linux-4.4.0-59',
  operation: 'one exploration, from the first step to the last',
  xLabel: '',
  cases: [exploration(2, 'coarse'), exploration(3, 'coarse'), exploration(2, 'group', true)],
  targets: [
    {
      what: 'states a second, 3 controllers, coarse',
      is: 'at least',
      limit: 250_000,
      value: (get) => get('3 controllers, coarse', 'whole state graph', 'statesPerSecond'),
    },
  ],
} satisfies Question as Question;
