import { Command, CommanderError } from 'commander';
import { UsageError } from '../core/index.ts';
import { HostFault } from '../xen/fault.ts';

/** A command: one file each, loaded only when it is asked for. `register` adds it to the program. */
interface CommandModule {
  register(program: Command): void;
}

const COMMANDS: Record<string, () => Promise<CommandModule>> = {
  bench: () => import('./bench.ts'),
  budget: () => import('./budget.ts'),
  clone: () => import('./clone.ts'),
  explore: () => import('./explore.ts'),
  fuzz: () => import('./fuzz.ts'),
  lspci: () => import('./lspci.ts'),
  matrix: () => import('./matrix.ts'),
  replay: () => import('./replay.ts'),
  serve: () => import('./serve.ts'),
};

async function main(argv: string[]): Promise<void> {
  const program = new Command('pirqlab')
    .description('A laboratory for PCI message-signalled interrupts, Xen pirqs and the guests that use them.')
    .showSuggestionAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  const wanted = argv.find((word) => !word.startsWith('-')) ?? '';
  const names = wanted in COMMANDS ? [wanted] : Object.keys(COMMANDS);
  for (const name of names) (await COMMANDS[name]()).register(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  if (argv.length === 0) argv = ['--help'];
  await program.parseAsync(argv, { from: 'user' });
}

/** One clear line and exit status 2 for whatever a user got wrong; a stack trace only for our own mistakes. */
function report(error: unknown): void {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return;
    const known = error.code === 'commander.unknownCommand' ? `; known: ${Object.keys(COMMANDS).join(', ')}` : '';
    process.stderr.write(`pirqlab: ${error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')}${known}\n`);
    process.exitCode = 2;
  } else if (error instanceof UsageError) {
    process.stderr.write(`pirqlab: ${error.message}\n`);
    process.exitCode = 2;
  } else if (error instanceof HostFault) {
    process.stderr.write(`pirqlab: the modelled host died: ${error.message}\n`);
    process.exitCode = 1;
  } else throw error;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
main(process.argv.slice(2)).catch(report);
