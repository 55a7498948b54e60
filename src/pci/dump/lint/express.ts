import { hex, readLe } from '../../../core/index.ts';
import { findCapability, headerLayout } from '../capabilities.ts';
import type { LintRule } from './finding.ts';

/** Types that have a bridge header; 9 and 10 and endpoints have an endpoint's. PCIe 5.0 §7.5.3.2. */
const BRIDGE_TYPES = [4, 5, 6, 7, 8];
const LAST_TYPE = 10;

/** Version, type and payload sizes of the PCI Express capability; version of Power Management. */
export const lintExpress: LintRule = ({ dumped: image }, report) => {
  const add = (severity: 'error' | 'warning', rule: string, at: number, text: string, source: string) =>
    report({ severity, rule, at, text, source });
  const pm = findCapability(image, 0x01);
  if (pm !== undefined) {
    const version = image[pm + 2] & 7;
    if (version === 0 || version > 3)
      add('warning', 'version', pm + 2, `Power Management version ${version}`, 'PCI PM 1.2 §3.2.3');
  }
  const at = findCapability(image, 0x10, 12);
  if (at === undefined) return;
  const flags = readLe(image, at + 2, 2);
  const [version, type] = [flags & 15, (flags >> 4) & 15];
  if (version === 0 || version > 2)
    add('warning', 'version', at + 2, `PCI Express capability version ${version}`, 'PCIe 5.0 §7.5.3.2');
  if (type > LAST_TYPE || type === 2 || type === 3)
    add('error', 'port-type', at + 2, `device/port type ${type} is not defined`, 'PCIe 5.0 §7.5.3.2');
  else if (BRIDGE_TYPES.includes(type) !== (headerLayout(image) === 1))
    add(
      'error',
      'port-type',
      at + 2,
      `device/port type ${type} with header layout ${headerLayout(image)}`,
      'PCIe 5.0 §7.5.3.2',
    );

  const supported = readLe(image, at + 4, 4) & 7;
  const set = (readLe(image, at + 8, 2) >> 5) & 7;
  if (supported > 5)
    add('warning', 'payload', at + 4, `Max_Payload_Size Supported ${supported} is reserved`, 'PCIe 5.0 §7.5.3.3');
  if (set > supported)
    add(
      'warning',
      'payload',
      at + 8,
      `Max_Payload_Size is ${hex(128 << set)} bytes, ${hex(128 << supported)} are supported`,
      'PCIe 5.0 §7.5.3.4',
    );
};
