import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decodeFunction } from '../../../src/pci/decode/index.ts';
import { type ParsedFunction, parseDump } from '../../../src/pci/dump/index.ts';

const TEST = new URL('../../', import.meta.url);

/** A recorded dump, and what lspci 3.9.0 printed for it where that was recorded. */
export interface RecordedDump {
  name: string;
  text: string;
  lspci: string | undefined;
}

function read(path: string): string {
  const bytes = readFileSync(new URL(path, TEST));
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
}

/** All dumps of a folder of test/golden, or of test/dumps. */
export function recordedDumps(folder: 'dumps' | 'states' | 'machines' | 'real'): RecordedDump[] {
  const path = folder === 'real' ? 'dumps/' : `golden/${folder}/`;
  const files = readdirSync(fileURLToPath(new URL(path, TEST)));
  const suffix = folder === 'real' ? '.txt' : '.dump.gz';
  return files
    .filter((file) => file.endsWith(suffix))
    .map((file) => {
      const name = file.slice(0, -suffix.length);
      const decoded = files.find((f) => f.startsWith(`${name}.lspci.txt`));
      return {
        name: `${folder}/${name}`,
        text: read(path + file),
        lspci: decoded === undefined ? undefined : read(path + decoded),
      };
    });
}

/** All functions as lspci prints a dump: by slot, a blank line after each. */
export function decodeAll(functions: ParsedFunction[]): string {
  const sorted = [...functions].sort((a, b) => a.domain - b.domain || (a.spec.bdf & 0xffff) - (b.spec.bdf & 0xffff));
  const domains = sorted.some((f) => f.domain > 0);
  return sorted
    .map((f) => `${decodeFunction({ bdf: f.spec.bdf, domain: f.domain, bytes: f.dumped }, domains)}\n`)
    .join('');
}

export function decodeDump(text: string): string {
  return decodeAll(parseDump(text));
}

/** Version of the lspci on this machine, undefined if there is none. */
export function lspciVersion(): string | undefined {
  const run = spawnSync('lspci', ['--version'], { encoding: 'utf8' });
  return run.error ? undefined : /version (\S+)/.exec(run.stdout)?.[1];
}

/** Lines that are not alike, by position within a common sequence of lines of equal number. */
export function differingLines(ours: string, theirs: string): string[] {
  const [a, b] = [ours.split('\n'), theirs.split('\n')];
  const differing: string[] = [];
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if (a[i] !== b[i]) differing.push(`line ${i + 1}: ours ${JSON.stringify(a[i])}, lspci ${JSON.stringify(b[i])}`);
  return differing;
}
