import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Node } from 'typescript';
import { UsageError } from '../../core/index.ts';

/** A branch that was never taken. */
export interface Untaken {
  /** In the source. */
  line: number;
  /** `then`, `else`, `case`, `loop`, `function`, or the operator. */
  kind: string;
  text: string;
}

export interface FileCoverage {
  /** `src/pci/bus.ts`. */
  file: string;
  branches: number;
  taken: number;
  untaken: Untaken[];
}

/** One function of V8's answer; inner ranges lie within outer ones. */
interface V8Function {
  ranges: { startOffset: number; endOffset: number; count: number }[];
}

/** Below these the branches are counted. */
const ROOMS = ['pci', 'xen'];
type Ts = typeof import('typescript');

/**
 * Runs `pirqlab` with `args` in a process that V8 counts branches in, and tells which of those in `src/pci` and `src/xen`
 * were taken. An `if` without `else` counts as one branch.
 * @throws UsageError where there is no build with source maps or no compiler to find the branches with
 */
export async function branchCoverage(args: readonly string[]): Promise<FileCoverage[]> {
  // src/fuzz/coverage and dist/fuzz/coverage lie equally deep
  const dist = join(fileURLToPath(new URL('../../..', import.meta.url)), 'dist');
  const main = join(dist, 'cli/main.js');
  if (!existsSync(`${main}.map`)) throw new UsageError('--coverage needs a checkout that is built: npm run build');
  let ts: Ts;
  try {
    ts = (await import('typescript')).default;
  } catch {
    throw new UsageError('--coverage needs the development dependencies (typescript)');
  }
  const folder = mkdtempSync(join(tmpdir(), 'pirqlab-coverage-'));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const child = spawnSync(process.execPath, [main, ...args], {
      env,
      encoding: 'utf8',
      cwd: folder,
      maxBuffer: 1 << 28,
    });
    if (child.status !== 0 && child.status !== 1)
      throw new UsageError(`--coverage: the counted run ended with ${child.stderr.trim().split('\n')[0]}`);
    const counted = new Map<string, V8Function[]>();
    for (const name of readdirSync(folder).filter((n) => n.startsWith('coverage-')))
      for (const { url, functions } of JSON.parse(readFileSync(join(folder, name), 'utf8')).result)
        if (url.startsWith('file:')) counted.set(fileURLToPath(url), functions);
    return ROOMS.flatMap((room) => filesBelow(join(dist, room)))
      .sort()
      .map((file) => fileCoverage(ts, dist, file, counted.get(file) ?? []));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(folder, name));
}

function fileCoverage(ts: Ts, dist: string, file: string, functions: readonly V8Function[]): FileCoverage {
  const text = readFileSync(file, 'utf8');
  const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')));
  const source = relative(dist, file).split(sep).join('/').replace(/\.js$/, '.ts');
  const lines = readFileSync(join(dist, '../src', source), 'utf8').split('\n');
  const parsed = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const countAt = counter(functions);
  const untaken: Untaken[] = [];
  const branches = branchesOf(ts, parsed);
  for (const { at, kind } of branches) {
    if (countAt(at) > 0) continue;
    const { line, character } = parsed.getLineAndCharacterOfPosition(at);
    const entry = map.findEntry(line, character) as { originalLine?: number };
    const original = entry.originalLine ?? line;
    untaken.push({ line: original + 1, kind, text: (lines[original] ?? '').trim() });
  }
  return { file: `src/${source}`, branches: branches.length, taken: branches.length - untaken.length, untaken };
}

/** How often the code at a position ran: the count of the innermost range around it; 0 in a file never loaded. */
function counter(functions: readonly V8Function[]): (at: number) => number {
  const ranges = functions.flatMap((f) => f.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  return (at) => {
    let count = 0;
    for (const { startOffset, endOffset, count: n } of ranges) {
      if (startOffset > at) break;
      if (endOffset > at) count = n;
    }
    return count;
  };
}

/** Where each branch of a file begins. */
function branchesOf(ts: Ts, root: Node): { at: number; kind: string }[] {
  const found: { at: number; kind: string }[] = [];
  const add = (node: Node, kind: string) => found.push({ at: node.getStart(), kind });
  const visit = (node: Node): void => {
    if (ts.isIfStatement(node)) {
      add(node.thenStatement, 'then');
      if (node.elseStatement) add(node.elseStatement, 'else');
    } else if (ts.isConditionalExpression(node)) {
      add(node.whenTrue, 'then');
      add(node.whenFalse, 'else');
    } else if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.getText();
      if (['&&', '||', '??', '&&=', '||=', '??='].includes(operator)) add(node.right, operator);
    } else if (ts.isCaseOrDefaultClause(node)) {
      if (node.statements.length > 0) add(node.statements[0], 'case');
    } else if (ts.isIterationStatement(node, false)) add(node.statement, 'loop');
    else if (ts.isCatchClause(node)) add(node.block, 'catch');
    else if (ts.isFunctionLike(node) && 'body' in node && node.body) add(node.body as Node, 'function');
    ts.forEachChild(node, visit);
  };
  visit(root);
  return found;
}
