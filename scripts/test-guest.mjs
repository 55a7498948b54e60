// The lane with a real Linux on a real QEMU in front of our vfio-user server. Debian's packages go into a folder outside the
// repository ($PIRQLAB_GUEST_CACHE, else ~/.cache/pirqlab/guest), once: some minutes and 700 MB. Skipped, with a line that says
// why, where that cannot be done.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const SUITE = 'trixie';
const MIRROR = process.env.PIRQLAB_DEBIAN_MIRROR || hostMirror();
const PACKAGES = 'ca-certificates,busybox-static,pciutils,e2fsprogs,cpio,linux-image-cloud-amd64';
const cache =
  process.env.PIRQLAB_GUEST_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'pirqlab', 'guest');
const root = join(cache, 'root');
const stamp = join(root, '.pirqlab-complete');

function skip(why) {
  process.stdout.write(`the guest lane is skipped: ${why}\n0 passed, 0 failed, 1 skipped\n`);
  process.exit(0);
}

/** Where this machine itself gets Debian's packages from; undefined if it is no Debian. */
function hostMirror() {
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const file of ['/etc/apt/sources.list', ...files]) {
    if (!existsSync(file)) continue;
    const found = /^(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(\S+\/debian)\/?(?:\s|$)/m.exec(readFileSync(file, 'utf8'));
    if (found) return found[1];
  }
  return undefined;
}

/** Output goes to standard error. */
function run(command, ...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio: ['ignore', 2, 2], env }).status === 0;
}

function install() {
  if (!MIRROR) skip('no Debian mirror known: set PIRQLAB_DEBIAN_MIRROR');
  process.stderr.write(`pirqlab: putting Debian ${SUITE} with QEMU from its backports into ${root}\n`);
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  if (!run('debootstrap', '--variant=minbase', `--include=${PACKAGES}`, SUITE, root, MIRROR))
    skip(`debootstrap could not install Debian ${SUITE} from ${MIRROR}`);
  writeFileSync(join(root, 'etc/apt/sources.list.d/backports.list'), `deb ${MIRROR} ${SUITE}-backports main\n`);
  const apt = ['-qq', '-y', '--no-install-recommends', '-t', `${SUITE}-backports`, 'install', 'qemu-system-x86'];
  if (!run('chroot', root, 'apt-get', '-qq', 'update') || !run('chroot', root, 'apt-get', ...apt))
    skip(`QEMU could not be installed from ${SUITE}-backports`);
  writeFileSync(stamp, '');
}

if (process.platform !== 'linux' || process.arch !== 'x64')
  skip(`it is for Linux on x86-64, not ${process.platform} ${process.arch}`);
if (process.getuid() !== 0) skip('chroot needs root');
if (!existsSync(stamp)) {
  if (spawnSync('debootstrap', ['--version']).error) skip('no debootstrap here (Debian package debootstrap)');
  install();
}
if (!run(process.execPath, 'scripts/build-addon.mjs')) process.stderr.write('pirqlab: no add-on; koffi it is\n');
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/guest-lane/vitest.config.ts'];
const env = { ...process.env, PIRQLAB_GUEST_ROOT: root };
process.exit(spawnSync(process.execPath, [...vitest, ...process.argv.slice(2)], { stdio: 'inherit', env }).status ?? 1);
