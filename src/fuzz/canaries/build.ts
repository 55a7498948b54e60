import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../core/index.ts';
import type { Canary } from './canary.ts';

type Transpile = (source: string) => string;

/**
 * Throw-away builds of the sources in a folder for temporary files: one as they are, and from that one for each planted
 * bug. Types are stripped, not checked.
 */
export class CanaryBuild {
  readonly #root: string;
  readonly #sources: string;
  readonly #folder: string;
  readonly #transpile: Transpile;

  constructor(root: string, transpile: Transpile) {
    this.#root = root;
    this.#sources = join(root, 'src');
    this.#transpile = transpile;
    this.#folder = mkdtempSync(join(tmpdir(), 'pirqlab-canaries-'));
    this.#compile();
  }

  /** @throws UsageError where there are no sources or no compiler, as in an installed package */
  static async make(): Promise<CanaryBuild> {
    // src/fuzz/canaries and dist/fuzz/canaries lie equally deep
    const root = fileURLToPath(new URL('../../..', import.meta.url));
    if (!existsSync(join(root, 'src/fuzz/canaries/build.ts')))
      throw new UsageError('--canaries needs the sources: run it in a checkout');
    let ts: typeof import('typescript');
    try {
      ts = (await import('typescript')).default;
    } catch {
      throw new UsageError('--canaries needs the development dependencies (typescript)');
    }
    const compilerOptions = {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    };
    return new CanaryBuild(root, (source) => ts.transpileModule(source, { compilerOptions }).outputText);
  }

  /** The unpatched sources. @throws UsageError if the text to replace is not there exactly once */
  patch(canary: Canary): string {
    const source = readFileSync(join(this.#sources, canary.file), 'utf8');
    const parts = source.split(canary.find);
    if (parts.length !== 2)
      throw new UsageError(`canary "${canary.name}": what it replaces is ${parts.length - 1} times in ${canary.file}`);
    return parts.join(canary.replace);
  }

  /** Builds one planted bug. @returns path of the command's main module */
  build(canary: Canary): string {
    const folder = join(this.#folder, 'canary');
    rmSync(folder, { recursive: true, force: true });
    cpSync(join(this.#folder, 'base'), folder, { recursive: true, verbatimSymlinks: true });
    writeFileSync(this.#output(folder, canary.file), this.#transpile(this.patch(canary)));
    return join(folder, 'dist/cli/main.js');
  }

  /** Main module of the sources as they are. */
  get released(): string {
    return join(this.#folder, 'base/dist/cli/main.js');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #compile(): void {
    const base = join(this.#folder, 'base');
    for (const name of readdirSync(this.#sources, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const output = this.#output(base, name);
      mkdirSync(dirname(output), { recursive: true });
      writeFileSync(output, this.#transpile(readFileSync(join(this.#sources, name), 'utf8')));
    }
    for (const name of ['node_modules', 'data', 'native', 'examples'])
      symlinkSync(join(this.#root, name), join(base, name));
    writeFileSync(join(base, 'package.json'), '{"type":"module"}\n');
  }

  #output(folder: string, file: string): string {
    return join(folder, 'dist', file.replace(/\.ts$/, '.js'));
  }
}
