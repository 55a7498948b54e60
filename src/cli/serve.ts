import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { AccessRecordingWriter, readRecipes } from '../harness/access-recording.ts';
import { serveRecords } from '../harness/access-server.ts';
import { parseDevice, placeRecipes, recipesOfDump } from '../harness/device-text.ts';
import { functionMap, type HostedFunction, hostFunction } from '../harness/hosted-function.ts';
import { PcMachine } from '../harness/pc-machine.ts';
import { serveQtest } from '../harness/qtest-server.ts';
import { type Conversation, SocketServer } from '../harness/socket-server.ts';
import { MemoryPort, serveVfioUser, type VfioUserServer, vfioDevice } from '../harness/vfio-user/index.ts';
import { formatBdf } from '../pci/index.ts';
import { readDumpFile } from './dump-input.ts';
import { print, printJson } from './output.ts';

interface ServeOptions {
  device?: string[];
  clone?: string[];
  recorded?: string;
  function?: string;
  socket?: string;
  qtest?: string;
  vfioUser?: string[];
  record?: string;
  json?: true;
}

/** What a protocol needs: how to talk to a client, and what to do at the end. */
interface Service {
  converse: Conversation;
  close?(): void;
}

/** One protocol: its option, and what serves it. */
interface Protocol {
  option: 'socket' | 'qtest';
  start(functions: HostedFunction[], options: ServeOptions): Service;
}

const PROTOCOLS: readonly Protocol[] = [
  { option: 'socket', start: startRecords },
  { option: 'qtest', start: startQtest },
];

const EXAMPLE = `
Example: an NVMe controller for the C and Python clients
  pirqlab serve --device nvme:size=64M,queues=4 --socket /tmp/nvme.sock

Devices: nvme[:size=1G,queues=64,msix=65,bdf=00:04.0,serial=text,file=path]
docs/access-records.md has the protocol of --socket, docs/vfio-user.md what --vfio-user does.`;

/** `pirqlab serve`: devices for other processes. */
export function register(program: Command): void {
  program
    .command('serve')
    .description('offer devices to other processes over a UNIX socket, or standard input and output (-)')
    .option('--device <device>', 'a device, e.g. nvme:size=1G,queues=64,msix=65; may be repeated', collect)
    .option('--clone <dump>', 'the devices of a dump, as pirqlab clone reads it; may be repeated', collect)
    .option('--recorded <file>', 'the devices of a recording of access records, or of an input of pirqlab fuzz')
    .option('--function <slot>', 'of the dumps only this function, e.g. 01:00.0')
    .option('--socket <path>', 'speak access records at this path, or - for standard input and output')
    .option('--qtest <path>', "speak QEMU's qtest protocol, for a q35-like machine with the devices")
    .option('--vfio-user <path>', 'speak vfio-user, for QEMU and the like; once for each device', collect)
    .option('--record <file>', 'with --socket: write all accesses to a file for pirqlab replay')
    .option('--json', 'say what is served as one JSON object')
    .addHelpText('after', EXAMPLE)
    .action(serve);
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

async function serve(options: ServeOptions): Promise<void> {
  const chosen = PROTOCOLS.filter(({ option }) => options[option] !== undefined);
  const names = PROTOCOLS.map(({ option }) => `--${option}`).join(', ');
  if (chosen.length + (options.vfioUser ? 1 : 0) !== 1)
    throw new UsageError(`say how to serve with one of ${names}, --vfio-user`);
  const [protocol] = chosen;
  if (options.record !== undefined && protocol?.option !== 'socket')
    throw new UsageError('--record writes access records, so it needs --socket');
  if (!protocol) return serveDevicesOverVfioUser(options, options.vfioUser!);
  const path = options[protocol.option]!;
  if (options.json && path === '-') throw new UsageError('--json says where the socket is; with - there is none');
  const functions = openDevices(options, protocol.option === 'qtest');
  try {
    const service = protocol.start(functions, options);
    try {
      if (path === '-') await service.converse(process.stdin, process.stdout, 'client');
      else await listen(path, service.converse, protocol.option, functions, options);
    } finally {
      service.close?.();
    }
  } finally {
    for (const hosted of functions) hosted.close();
  }
}

/** Serves each device at a path of its own until the process is told to end. */
async function serveDevicesOverVfioUser(options: ServeOptions, paths: readonly string[]): Promise<void> {
  const functions = openDevices(options, false, true);
  const told = toldToEnd();
  const servers: VfioUserServer[] = [];
  try {
    if (functions.length !== paths.length)
      throw new UsageError(
        `${functions.length} devices and ${paths.length} paths: --vfio-user takes one for each device`,
      );
    functions.forEach(({ fn, arena, port }, i) => {
      const device = vfioDevice(fn, arena, port ?? new MemoryPort());
      servers.push(serveVfioUser({ path: paths[i], device, log }));
    });
    const { transport } = servers[0];
    const devices = functions.map(({ fn }, i) => ({ bdf: formatBdf(fn.bdf), name: fn.name, path: paths[i] }));
    if (options.json) printJson({ protocol: 'vfio-user', transport, devices });
    else
      for (const { bdf, name, path } of devices)
        print(`serving ${bdf} ${name} over vfio-user at ${path} (${transport})`);
    await told;
  } finally {
    for (const server of servers) server.close();
    for (const hosted of functions) hosted.close();
  }
}

/** @param rootOnly everything stands on bus 0, whatever bus a dump says; `defer`: see {@link FunctionRecipe} */
function openDevices(options: ServeOptions, rootOnly: boolean, defer = false): HostedFunction[] {
  const clones = (options.clone ?? []).flatMap((dump) => recipesOfDump(readDumpFile(dump), options.function));
  const recorded = options.recorded === undefined ? [] : readRecipes(options.recorded);
  // where everything stands on bus 0, a function from another bus is given a place like one of a dump
  if (rootOnly) for (const recipe of recorded) if (recipe.spec) delete recipe.bdf;
  const recipes = [...(options.device ?? []).map(parseDevice), ...clones, ...recorded];
  if (recipes.length === 0) throw new UsageError('nothing to serve: name a --device, e.g. nvme, or a dump to --clone');
  const functions = placeRecipes(recipes, rootOnly).map((recipe) =>
    hostFunction({ ...recipe, ...(defer && { defer }) }),
  );
  functionMap(functions);
  return functions;
}

function startRecords(functions: HostedFunction[], options: ServeOptions): Service {
  const recording = options.record === undefined ? undefined : new AccessRecordingWriter(options.record, functions);
  const target = { functions: functionMap(functions), ...(recording && { observe: recording.append }) };
  return { converse: serveRecords(target, log), close: () => recording?.close() };
}

function startQtest(functions: HostedFunction[]): Service {
  return { converse: serveQtest(new PcMachine({ functions }), log) };
}

/** Listens until the process is told to end. */
async function listen(
  path: string,
  converse: Conversation,
  protocol: string,
  functions: readonly HostedFunction[],
  options: ServeOptions,
): Promise<void> {
  const told = toldToEnd();
  const server = await SocketServer.listen(path, converse);
  const devices = functions.map(({ fn }) => ({ bdf: formatBdf(fn.bdf), name: fn.name }));
  if (options.json) printJson({ protocol, path, devices });
  else print(`serving ${devices.map(({ bdf, name }) => `${bdf} ${name}`).join(', ')} at ${path}`);
  await told;
  await server.close();
}

function toldToEnd(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function log(line: string): void {
  process.stderr.write(`pirqlab: ${line}\n`);
}
