import { Command } from 'commander';
import { vi } from 'vitest';

/** Runs one command of the program in this process. @returns what it wrote to standard output */
export async function runCommand(
  register: (program: Command) => void,
  name: string,
  ...args: string[]
): Promise<string> {
  const program = new Command('pirqlab').exitOverride();
  register(program);
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await program.parseAsync([name, ...args], { from: 'user' });
    return write.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    write.mockRestore();
  }
}
