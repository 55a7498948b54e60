// The longer lane: every target in turn, `npm run fuzz -- [seconds each] [seed]`. Exit status 1 if one finds something.
import { spawnSync } from 'node:child_process';

const [seconds = '60', seed = '1'] = process.argv.slice(2);
const targets = ['config', 'msi', 'msix', 'bridge', 'hypercalls', 'dump'];
let status = 0;
for (const target of targets) {
  const args = ['bin/pirqlab.mjs', 'fuzz', '--target', target, '--seed', seed, '--for', `${seconds}s`];
  status = Math.max(status, spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
}
process.exitCode = status;
