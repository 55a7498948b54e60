import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import {
  getKernelProfile,
  SWITCHES as KERNEL_SWITCHES,
  type KernelProfile,
  type ReuseRule,
  withSwitches as withKernelSwitches,
} from '../guest/index.ts';
import { DEFAULT_DRIVE } from '../lab/case.ts';
import type { FunctionSpec } from '../pci/index.ts';
import {
  SWITCHES as DEVICE_MODEL_SWITCHES,
  type DeviceModelProfile,
  deviceModel,
  withSwitches as withDeviceModelSwitches,
} from '../xen/device-model/index.ts';
import { getXenProfile, type XenProfile } from '../xen/index.ts';
import { oneOf, wholeNumber } from './output.ts';
import { readDrive } from './read-drive.ts';

/** The options by which every command that runs a machine names its sides. */
export interface SideOptions {
  controllers: number;
  vectors: number;
  xen: string;
  reuse?: ReuseRule;
  set: string[];
  drive: string;
}

export const REUSE_RULES: readonly ReuseRule[] = ['R0', 'R1', 'R2', 'Rideal'];

/** Adds an option that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

export function addSideOptions(command: Command, controllers: number): Command {
  return command
    .option('--controllers <n>', 'NVMe controllers passed through', wholeNumber('--controllers', 1, 26), controllers)
    .option('--vectors <n>', 'vectors that each driver asks for', wholeNumber('--vectors', 1, 2048), 4)
    .option('--xen <name>', 'hypervisor profile', 'xen-4.17')
    .option(
      '--reuse <rule>',
      'when a kernel re-uses the pirq in the message: R0, R1, R2, Rideal',
      oneOf('re-use rule', REUSE_RULES),
    )
    .option('--set <name=value>', 'change one switch of a profile (repeatable)', collect, [])
    .option('--drive <name|file>', 'dump of the drive that every controller is a copy of', DEFAULT_DRIVE);
}

/** The profiles with `--reuse` and `--set` applied. @throws UsageError for names and values that are not known */
export class Sides {
  readonly xen: XenProfile;
  readonly drive: FunctionSpec;
  readonly #kernel: Record<string, string> = {};
  readonly #deviceModel: Record<string, string> = {};

  constructor(options: SideOptions) {
    const xen: Record<string, string> = {};
    const known = getXenProfile(options.xen);
    for (const change of options.set) {
      const [name, value] = splitSwitch(change);
      if (Object.hasOwn(KERNEL_SWITCHES, name)) this.#kernel[name] = value;
      else if (Object.hasOwn(DEVICE_MODEL_SWITCHES, name)) this.#deviceModel[name] = value;
      else if (Object.hasOwn(known, name) && name !== 'name') xen[name] = value;
      else throw new UsageError(`unknown switch "${name}"; known: ${knownSwitches(known).join(', ')}`);
    }
    if (options.reuse) this.#kernel['reuse'] = options.reuse;
    this.xen = { ...known, ...parseXenSwitches(known, xen) };
    this.drive = readDrive(options.drive);
  }

  kernel(name: string): KernelProfile {
    return withKernelSwitches(getKernelProfile(name), this.#kernel);
  }

  deviceModel(name: string): DeviceModelProfile {
    return withDeviceModelSwitches(deviceModel(name), this.#deviceModel);
  }
}

function splitSwitch(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--set takes name=value, not "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function knownSwitches(xen: XenProfile): string[] {
  const simple = Object.keys(xen).filter(
    (name) => name !== 'name' && typeof xen[name as keyof XenProfile] !== 'object',
  );
  return [...Object.keys(DEVICE_MODEL_SWITCHES), ...Object.keys(KERNEL_SWITCHES), ...simple];
}

/** Values of the type that the profile has there; words are checked where the hypervisor's profiles show them all. */
function parseXenSwitches(profile: XenProfile, changes: Record<string, string>): Partial<XenProfile> {
  const parsed: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(changes)) {
    const present = profile[name as keyof XenProfile];
    if (typeof present === 'boolean') parsed[name] = oneOf(name, ['true', 'false'])(text) === 'true';
    else if (typeof present === 'number') parsed[name] = wholeNumber(name, 0, 0x7fffffff)(text);
    else if (name === 'allocationDirection') parsed[name] = oneOf(name, ['top-down', 'bottom-up'])(text);
    else if (typeof present === 'string') parsed[name] = text;
    else throw new UsageError(`switch ${name} of the hypervisor has no simple value`);
  }
  return parsed as Partial<XenProfile>;
}

/** The side options in words, those at their defaults left out. */
export function sideWords(options: SideOptions): string[] {
  const words = [`--controllers ${options.controllers}`, `--vectors ${options.vectors}`];
  if (options.xen !== 'xen-4.17') words.push(`--xen ${options.xen}`);
  if (options.drive !== DEFAULT_DRIVE) words.push(`--drive ${options.drive}`);
  if (options.reuse) words.push(`--reuse ${options.reuse}`);
  for (const change of options.set) words.push(`--set ${change}`);
  return words;
}
