import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { getKernelProfile } from '../guest/kernel-profile.ts';
import {
  type Budget,
  type BudgetDevice,
  type BudgetInputs,
  computeBudget,
  type DeviceBudget,
  GUEST_GSIS,
} from '../lab/budget.ts';
import { budgetNotes } from '../lab/budget-notes.ts';
import { headerLayout, msiGeometry, msixGeometry } from '../pci/dump/capabilities.ts';
import { builtinDump, listBuiltinDumps, type ParsedFunction, parseDump } from '../pci/dump/index.ts';
import { getXenProfile } from '../xen/profile.ts';
import { oneOf, print, printJson, table, wholeNumber } from './output.ts';

interface Options {
  extraGuestIrqs: number;
  gsis: number;
  cpus: number;
  hostCpus?: number;
  hostMsis: number;
  guestGsis: number;
  nvmeQueues?: number;
  hvmPirqs?: 'on' | 'off';
  function?: string[];
  ask?: string[];
  xen: string;
  kernel: string;
  json?: boolean;
}

const NVME_CLASS = 0x010802;
const COMMAND_LIST_BIT = 0x10;

export function register(program: Command): void {
  program
    .command('budget')
    .description('who gets how many interrupt vectors in one domU, who starves, and which setting cures it')
    .argument(
      '<dump...>',
      'dumps (lspci -xxx or -xxxx, sysfs config) or built-in ones, in the order of probing; repeat for twins',
    )
    .option(
      '--extra-guest-irqs <n>',
      "Xen's extra_guest_irqs= for domUs",
      wholeNumber('--extra-guest-irqs', 0, 32768),
      32,
    )
    .option('--gsis <n>', 'GSIs of the host', wholeNumber('--gsis', 16, 4096), 24)
    .option('--cpus <n>', 'vCPUs of the domU', wholeNumber('--cpus', 1, 4096), 16)
    .option('--host-cpus <n>', 'CPUs of the host (default: as --cpus)', wholeNumber('--host-cpus', 1, 4096))
    .option('--host-msis <n>', 'MSIs in use by dom0 and other domUs', wholeNumber('--host-msis', 0, 1 << 20), 0)
    .option('--guest-gsis <n>', "GSIs of the domU's emulated devices", wholeNumber('--guest-gsis', 0, 48), GUEST_GSIS)
    .option('--nvme-queues <n>', 'I/O queues an NVMe controller grants', wholeNumber('--nvme-queues', 1, 65535))
    .option('--ask <slot=n...>', 'vectors that a driver asks for, where you know; slot#2=n for the second of that slot')
    .option('--function <slot...>', 'only these functions of the dumps, as 01:00.0')
    .option(
      '--hvm-pirqs <on|off>',
      'hvm_pirq= of the domU (default: of the Xen release)',
      oneOf('--hvm-pirqs', ['on', 'off']),
    )
    .option('--xen <profile>', 'Xen release', 'xen-4.17')
    .option('--kernel <profile>', "the domU's kernel", 'linux-6.1')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample: three drives that want 17 vectors each, 32 pirqs for all\n  pirqlab budget 144d-a826 144d-a826 2646-5013 --cpus 16\n',
    )
    .action((dumps: string[], options: Options) => {
      const devices = readDevices(dumps, options);
      const inputs = toInputs(options);
      const budget = computeBudget(devices, inputs);
      const notes = budgetNotes(budget, inputs);
      if (options.json) printJson({ ...jsonInputs(inputs), ...budget, notes });
      else print(describe(budget, inputs, notes));
    });
}

function toInputs(options: Options): BudgetInputs {
  const { cpus, gsis, extraGuestIrqs, hostMsis, guestGsis, nvmeQueues, hvmPirqs } = options;
  return {
    xen: getXenProfile(options.xen),
    kernel: getKernelProfile(options.kernel),
    cpus,
    host: { gsis, cpus: options.hostCpus ?? cpus, extraDomU: extraGuestIrqs },
    hostMsis,
    guestGsis,
    ...(nvmeQueues === undefined ? {} : { nvmeQueues }),
    ...(hvmPirqs === undefined ? {} : { hvmPirqs: hvmPirqs === 'on' }),
  };
}

function jsonInputs(inputs: BudgetInputs) {
  return { ...inputs, xen: inputs.xen.name, kernel: inputs.kernel.name };
}

/** The endpoints of the dumps in order. */
function readDevices(dumps: string[], options: Options): BudgetDevice[] {
  const wanted = options.function?.map(fullSlot);
  const found = dumps
    .flatMap((dump) => parseDump(readDump(dump)))
    .filter((f) => headerLayout(f.spec.image) === 0)
    .filter((f) => wanted === undefined || wanted.includes(f.slot));
  for (const slot of wanted ?? [])
    if (!found.some((f) => f.slot === slot)) throw new UsageError(`no endpoint ${slot} in the dumps`);
  if (found.length === 0) throw new UsageError('the dumps have no endpoint, only bridges');

  const names = nameAll(found);
  const asks = new Map((options.ask ?? []).map(parseAsk));
  for (const name of asks.keys())
    if (!names.includes(name) && !found.some((f) => f.slot === name))
      throw new UsageError(`--ask: no endpoint ${name} in the dumps`);
  return found.map((f, i) => toDevice(f, names[i], asks.get(names[i]) ?? asks.get(f.slot)));
}

/** Slots, those that occur more than once numbered: `0000:01:00.0#2`. */
function nameAll(found: ParsedFunction[]): string[] {
  const seen = new Map<string, number>();
  return found.map(({ slot }) => {
    const times = (seen.get(slot) ?? 0) + 1;
    seen.set(slot, times);
    return found.filter((f) => f.slot === slot).length > 1 ? `${slot}#${times}` : slot;
  });
}

function readDump(name: string): Uint8Array | string {
  if (!existsSync(name)) {
    const known = listBuiltinDumps();
    if (known.includes(name)) return builtinDump(name);
    throw new UsageError(`no file ${name}, and no built-in dump of that name; there are ${known.join(', ')}`);
  }
  try {
    return readFileSync(name);
  } catch (error) {
    throw new UsageError(`cannot read ${name}: ${(error as Error).message}`);
  }
}

function fullSlot(slot: string): string {
  if (!/^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(slot))
    throw new UsageError(`"${slot}" is no slot; write it as lspci does: 01:00.0 or 0000:01:00.0`);
  return (slot.length < 10 ? `0000:${slot}` : slot).toLowerCase();
}

/** `slot=n` or `slot#i=n`. */
function parseAsk(text: string): [name: string, asks: number] {
  const [, slot, twin = '', count] = /^([^=#]*)(#\d+)?=(.*)$/.exec(text) ?? [];
  if (slot === undefined) throw new UsageError(`--ask takes slot=number, not "${text}"`);
  return [fullSlot(slot) + twin, wholeNumber('--ask', 1, 2048)(count)];
}

function toDevice(f: ParsedFunction, name: string, asks: number | undefined): BudgetDevice {
  const { image } = f.spec;
  if (f.dumped.length <= 64 && image[6] & COMMAND_LIST_BIT)
    throw new UsageError(`${f.slot}: 64 bytes do not hold its capabilities; dump with lspci -xxx as root`);
  const classCode = image[9] | (image[10] << 8) | (image[11] << 16);
  return {
    name,
    kind: classCode === NVME_CLASS ? 'nvme' : 'other',
    msixVectors: msixGeometry(image)?.vectors ?? 0,
    msiMessages: msiGeometry(image)?.offered ?? 0,
    hasIntx: image[0x3d] !== 0,
    ...(asks === undefined ? {} : { asks }),
  };
}

function describe(budget: Budget, inputs: BudgetInputs, notes: string[]): string {
  const { host, xen, kernel, cpus } = inputs;
  const { pool } = budget;
  const extra = host.extraDomU;
  const route =
    budget.route === 'pirqs' ? 'MSIs as pirqs' : 'MSIs as APIC vectors (no HVM pirqs), one pirq each on the host';
  const range = pool.size > 0 ? `, ${pool.first} down to ${pool.last}` : '';
  const lines = [
    `${kernel.name} domU with ${cpus} vCPUs on ${xen.name}; ${route}`,
    `nr_pirqs = min(${host.gsis} GSIs + ${extra} extra_guest_irqs, ${budget.nrIrqs} nr_irqs) = ${budget.nrPirqs}`,
    `for MSIs: ${budget.nrPirqs} - ${host.gsis} GSIs - ${pool.takenByGsis} taken by GSIs beyond those = ${pool.size}${range}`,
    '',
    table([['device', 'what', 'offers', 'asks for', 'gets', 'outcome'], ...budget.devices.map(deviceRow)]),
    '',
    table([
      ['limit', 'there are', 'needed', 'there are ='],
      ...budget.limits.map((l) => [
        l.name,
        `${l.capacity}`,
        l.needed > l.capacity ? `${l.needed}, ${l.needed - l.capacity} short` : `${l.needed}`,
        l.formula,
      ]),
    ]),
    '',
    `stops first: ${budget.stopsFirst}`,
    ...describeCure(budget, inputs),
    ...notes.map((note) => `note: ${note}`),
  ];
  return lines.join('\n');
}

function deviceRow(d: DeviceBudget): string[] {
  const what = d.kind === 'nvme' ? 'NVMe' : '';
  return [d.name, what, d.offers, `${d.formula}${d.asks > 0 ? ` = ${d.asks}` : ''}`, gets(d), outcome(d)];
}

function gets(d: DeviceBudget): string {
  return d.mode === 'MSI-X' || d.mode === 'MSI' ? `${d.gets} ${d.mode}` : d.mode === 'INTx' ? 'INTx' : 'nothing';
}

function outcome(d: DeviceBudget): string {
  const parts: string[] = [];
  if (d.starves) parts.push('STARVES');
  if (d.lost > 0) parts.push(`reserved and lost: ${d.lost}`);
  if (d.starves && d.mode === 'INTx') parts.push('falls back to INTx');
  if (d.starves && d.mode === 'none') parts.push('its driver gives up');
  if (d.deaf > 0) parts.push(`deaf vectors: ${d.deaf}`);
  if (d.queues !== undefined && d.queues > 0) parts.push(`I/O queues: ${d.queues}`);
  if (d.pirqs) parts.push(d.pirqs[0] === d.pirqs[1] ? `pirq ${d.pirqs[0]}` : `pirqs ${d.pirqs[0]}..${d.pirqs[1]}`);
  return parts.join(', ');
}

function describeCure({ cure, starving, devices }: Budget, { host }: BudgetInputs): string[] {
  if (!cure) return ['nobody starves'];
  const cures: string[] = [];
  if (cure.extraGuestIrqs !== undefined) {
    const nrIrqs = cure.nrIrqs === undefined ? '' : ` nr_irqs=${cure.nrIrqs}`;
    cures.push(`extra_guest_irqs=${cure.extraGuestIrqs}${nrIrqs} on Xen's command line (now ${host.extraDomU})`);
  }
  if (cure.nvmeQueues !== undefined)
    cures.push(
      `at most ${cure.nvmeQueues} I/O queues per NVMe controller (fewer vCPUs, or controllers that grant fewer)`,
    );
  return [
    `starving: ${starving} of ${devices.length}`,
    cures.length > 0 ? `cure: ${cures.join('; or ')}` : 'cure: none of these settings; the host itself has too few',
  ];
}
