import { describe, expect, test } from 'vitest';
import { getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import { type CaseConfig, caseConfig, exploreCase, prepareCase, runChoices } from '../../src/lab/case.ts';
import { goodCounts } from '../../src/lab/explorer.ts';
import { deviceModel, withSwitches as withModelSwitches } from '../../src/xen/device-model/index.ts';
import { getXenProfile } from '../../src/xen/index.ts';
import { type Compare, countByRules, type Rule } from './rules-oracle.ts';

/** The four cases of the report, by the sides that make them. */
const HOSTS = { old: deviceModel('qemu-2.0'), new: deviceModel('qemu-2.1') };
const GUESTS = { old: getKernelProfile('linux-4.4.0-59'), new: getKernelProfile('linux-4.4.0-61') };
const CASES = [
  ['old', 'old'],
  ['old', 'new'],
  ['new', 'old'],
  ['new', 'new'],
] as const;

interface Cell {
  /** Interleavings by the number of good controllers. */
  good: Record<number, number>;
  /** pirqs in the tables after both controllers have gone through their steps, one after the other. */
  pirqs: string;
}

type Change = (config: Partial<CaseConfig>) => Partial<CaseConfig>;

/** The four cases with something changed, for two controllers with two vectors each. */
function matrix(change: Change = (config) => config): Cell[] {
  return CASES.map(([host, guest]) => {
    const sides = { deviceModel: HOSTS[host], kernel: GUESTS[guest], controllers: 2, vectors: 2 };
    const prepared = prepareCase(caseConfig(change(sides)));
    const { machine } = prepared;
    const found = exploreCase(prepared);
    const good = Object.fromEntries([...goodCounts(found)].map(([n, paths]) => [n, Number(paths)]));
    runChoices(prepared, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    const pirqs = machine.slots.flatMap(({ model }) => [0, 1].map((entry) => pirqOf(model.msix!.entryMessage(entry))));
    return { good, pirqs: pirqs.join(' ') };
  });
}

const pirqOf = ({ addressLo }: { addressLo: number }) => (addressLo >>> 12) & 0xff;
const onHosts =
  (name: string, value: string | boolean): Change =>
  (c) => ({ ...c, deviceModel: withModelSwitches(c.deviceModel!, { [name]: value }) });
const onGuests =
  (reuse: string): Change =>
  (c) => ({ ...c, kernel: withSwitches(c.kernel!, { reuse }) });

const usual = matrix();
const NONE = { 0: 252 };
const ALL = { 2: 252 };
const SOME = { 0: 82, 1: 68, 2: 102 };
/** By the naive model of the rules, which knows of no register. */
const byRules = (rule: Rule, compare: Compare) =>
  Object.fromEntries([...countByRules(rule, 2, 2, [], compare)].map(([n, paths]) => [n, Number(paths)]));

describe('the four cases and what one mechanism changes in them', () => {
  test('as they are', () => {
    expect(usual.map(({ good }) => good)).toEqual([NONE, NONE, SOME, ALL]);
    // On the old host B is deaf from its first enable, which comes after A's failure, and gives up.
    const deaf = '54 53 52 0';
    expect(usual.map(({ pirqs }) => pirqs)).toEqual([deaf, deaf, '55 54 53 52', '55 54 53 52']);
  });

  const OLD = [NONE, NONE];
  const NEW_BY_VALUE = [byRules('R1', 'value'), byRules('R2', 'value')];
  test.each<[what: string, change: Change, good: object[]]>([
    ['no device model frees on disable', onHosts('freeOnDisable', false), [NONE, NONE, NONE, NONE]],
    ['every device model frees on disable', onHosts('freeOnDisable', true), [...NEW_BY_VALUE, SOME, ALL]],
    ['the shadow is compared by value', onHosts('shadowCompare', 'value'), [...OLD, ...NEW_BY_VALUE]],
    ['guests re-use by R0', onGuests('R0'), [ALL, ALL, NONE, NONE]],
    ['guests re-use by R1', onGuests('R1'), [NONE, NONE, SOME, SOME]],
    ['guests never re-use', onGuests('R2'), [NONE, NONE, ALL, ALL]],
    ['guests go by the marker alone', onGuests('Rideal'), [ALL, ALL, NONE, NONE]],
  ])('%s', (_, change, good) => {
    const changed = matrix(change).map((cell) => cell.good);
    expect(changed).toEqual(good);
    expect(changed).not.toEqual(usual.map((cell) => cell.good));
  });

  test('pirqs are searched for from the bottom: other numbers, the same collisions', () => {
    const bottomUp = getXenProfile('xen-4.17', { allocationDirection: 'bottom-up' });
    const changed = matrix((config) => ({ ...config, xen: bottomUp }));
    expect(changed.map(({ good }) => good)).toEqual([NONE, NONE, SOME, ALL]);
    const deaf = '25 26 27 0';
    expect(changed.map(({ pirqs }) => pirqs)).toEqual([deaf, deaf, '24 25 26 27', '24 25 26 27']);
  });
});

describe('names decide nothing', () => {
  test.each([[[1, 0, 2]], [[1, 2, 0]], [[2, 1, 0]]])('the re-enable of three controllers, named %j', (names) => {
    const prepared = prepareCase(
      caseConfig({ deviceModel: HOSTS.new, kernel: GUESTS.old, vectors: 2, from: 'reenable' }),
    );
    const plain = exploreCase(prepared);
    const renamed = exploreCase({ ...prepared, prefix: prepared.prefix.map((task) => names[task]) });
    const back = [...renamed.outcomes].map(([outcome, paths]) => [names.map((n) => outcome[n]).join(''), paths]);
    expect(back.sort()).toEqual([...plain.outcomes].sort());
  });
});
