import { hex, readLe } from '../../../core/index.ts';
import { decodeBar, findTold } from '../bars.ts';
import { capabilityPointerAt, headerLayout } from '../capabilities.ts';
import type { LintRule } from './finding.ts';

const BAR_COUNT = [6, 2, 1];

/** Identity, class, header layout, pin, and bits that have no meaning. */
export const lintHeader: LintRule = ({ dumped: image, format, domain }, report) => {
  const add = (severity: 'error' | 'warning' | 'note', rule: string, at: number, text: string, source: string) =>
    report({ severity, rule, at, text, source });
  const vendor = readLe(image, 0, 2);
  if (image.every((byte) => byte === 0xff))
    add('error', 'absent', 0, 'every byte is ff: nothing answered at this slot', 'PCI 3.0 §6.1');
  else if (vendor === 0xffff || vendor === 0)
    add('error', 'vendor', 0, `vendor ID ${hex(vendor, 4)} means that no device is there`, 'PCI 3.0 §6.2.1');

  const layout = headerLayout(image);
  const deviceClass = readLe(image, 0x0a, 2);
  if (layout > 2) add('error', 'header-type', 0x0e, `header layout ${hex(layout, 2)} is not defined`, 'PCI 3.0 §6.2.1');
  else if (layout === 0 && deviceClass === 0x0604)
    add(
      'warning',
      'class',
      0x0a,
      'a PCI bridge by class has an endpoint header (type 0)',
      'PCI-PCI Bridge 1.2 §3.2.4.4',
    );
  else if (layout > 0 && deviceClass >> 8 !== 6)
    add(
      'warning',
      'class',
      0x0a,
      `class ${hex(deviceClass, 4)} with a bridge header (type ${layout})`,
      'PCI-PCI Bridge 1.2 §3.2.4.4',
    );

  const status = readLe(image, 0x06, 2);
  if (((status >> 9) & 3) === 3) add('warning', 'reserved', 0x06, 'DEVSEL timing 3 is reserved', 'PCI 3.0 §6.2.3');
  if (layout <= 2 && image[0x3d] > 4)
    add('warning', 'interrupt-pin', 0x3d, `interrupt pin ${image[0x3d]} is none of INTA to INTD`, 'PCI 3.0 §6.2.4');
  if (layout <= 2) {
    const pointerAt = capabilityPointerAt(image);
    const pointer = image[pointerAt];
    if (!(status & 0x10) && pointer !== 0)
      add(
        'note',
        'capability-bit',
        pointerAt,
        `a capability pointer (${hex(pointer, 2)}) but Status says that there is no list`,
        'PCI 3.0 §6.7',
      );
    if (status & 0x10 && (pointer & ~3) === 0)
      add(
        'warning',
        'capability-bit',
        pointerAt,
        'Status says that there is a capability list but its pointer is zero',
        'PCI 3.0 §6.7',
      );
  }

  if (domain > 0xffff)
    add(
      'note',
      'domain',
      0,
      `domain ${hex(domain)} exceeds 16 bits; the device is made in ${hex(domain & 0xffff, 4)}`,
      'PCI Firmware 3.2 §4.1.2',
    );
  if (image.length !== 64 && image.length !== 256 && image.length !== 4096)
    add(
      'note',
      'truncated',
      image.length,
      `the dump ends after ${image.length} bytes, within configuration space`,
      'PCIe 5.0 §7.2',
    );
  else if (image.length === 64)
    add(
      'note',
      'truncated',
      64,
      `the dump has the header only${format === 'sysfs-config' ? ' (read as root)' : ' (use lspci -xxxx as root)'}`,
      'PCI 3.0 §6.1',
    );
};

/** Address decoders: types that are not defined, an upper half that is missing, addresses a decoder cannot hold. */
export const lintBars: LintRule = ({ dumped: image, spec, told }, report) => {
  const count = BAR_COUNT[headerLayout(image)] ?? 0;
  const add = (severity: 'error' | 'warning' | 'note', rule: string, at: number, text: string) =>
    report({ severity, rule, at, text, source: 'PCI 3.0 §6.2.5.1' });
  for (let bar = 0; bar < count; bar++) {
    const at = 0x10 + 4 * bar;
    const low = readLe(image, at, 4);
    if (low === 0xffffffff) {
      add('note', 'bar-sizing', at, `BAR ${bar} reads all ones: dumped while it was being sized`);
      continue;
    }
    const decoded = decodeBar(image, bar, count);
    if (!decoded) continue;
    const spot = spec.bars.find((b) => b.bar === bar);
    if (!(low & 1) && (low & 6) === 6) add('error', 'bar-type', at, `BAR ${bar} has memory type 3, which is reserved`);
    if (!(low & 1) && (low & 6) === 4 && decoded.kind !== 'mem64')
      add('error', 'bar-type', at, `BAR ${bar} is a 64-bit BAR without room for its upper half`);
    const said = findTold(told, bar, decoded);
    if (said && said.kind !== decoded.kind)
      add(
        'warning',
        'bar-kind',
        at,
        `BAR ${bar} is ${decoded.kind} by its register, ${said.kind} by the text that came with it`,
      );
    if (spot && decoded.address % BigInt(spot.sizeBytes) !== 0n)
      add(
        'warning',
        'bar-align',
        at,
        `BAR ${bar} lies at 0x${decoded.address.toString(16)}, not a multiple of its size ${hex(spot.sizeBytes)}`,
      );
    if (decoded.kind === 'mem32' && spot && spot.sizeBytes > 0x80000000)
      add('error', 'bar-size', at, `32-bit BAR ${bar} of ${spot.sizeBytes} bytes; it can ask for 2 GiB`);
    if (decoded.kind === 'io' && spot && spot.sizeBytes > 256)
      add('warning', 'bar-size', at, `I/O BAR ${bar} of ${spot.sizeBytes} bytes; 256 are allowed`);
    if (decoded.kind === 'mem64') bar++;
  }
};
