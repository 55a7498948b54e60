import { field, reg } from '../layout.ts';
import type { Page } from '../page.ts';
import { scaleNs } from './small.ts';

/** L1 PM Substates Capabilities, Control 1 and Control 2, 32 bit from +4. PCIe 5.0 §7.8.3. */
const L1_CAP = reg`L1SubCap: PCI-PM_L1.2${0} PCI-PM_L1.1${1} ASPM_L1.2${2} ASPM_L1.1${3} L1_PM_Substates${4}`;
const L1_CTL1 = reg`L1SubCtl1: PCI-PM_L1.2${0} PCI-PM_L1.1${1} ASPM_L1.2${2} ASPM_L1.1${3}`;
const T_POWER_ON_US = [2, 10, 100];

export function decodeL1pm(page: Page, at: number): void {
  page.put('L1 PM Substates\n');
  if (!page.has(at + 4, 12)) {
    page.line(2, '<unreadable>');
    return;
  }
  const [cap, control1, control2] = [page.u32(at + 4), page.u32(at + 8), page.u32(at + 12)];
  const l12 = field(cap, 0, 1) || field(cap, 2, 1);
  page.line(2, L1_CAP(cap));
  if (l12) {
    const restore = `  PortCommonModeRestoreTime=${field(cap, 8, 8)}us`;
    page.line(3, `${restore} PortTPowerOnTime=${powerOn(field(cap, 16, 2), field(cap, 19, 5))}`);
  }
  page.line(2, L1_CTL1(control1));
  if (l12) {
    const scale = field(control1, 29, 3);
    const threshold = scale > 5 ? '<error>' : `${field(control1, 16, 10) * scaleNs(scale)}ns`;
    const aspm = field(cap, 2, 1) ? ` LTR1.2_Threshold=${threshold}` : '';
    page.line(3, `   T_CommonMode=${field(control1, 8, 8)}us${aspm}`);
  }
  page.line(2, `L1SubCtl2:${l12 ? ` T_PwrOn=${powerOn(field(control2, 0, 2), field(control2, 3, 5))}` : ''}`);
}

function powerOn(scale: number, value: number): string {
  return scale < T_POWER_ON_US.length ? `${T_POWER_ON_US[scale] * value}us` : '<error>';
}

/** Precision Time Measurement, capability and control, 32 bit at +4 and +8. PCIe 5.0 §7.9.16. */
const PTM_CAP = reg`PTMCap: Requester:${0} Responder:${1} Root:${2}`;
const PTM_CTL = reg`PTMControl: Enabled:${0} RootSelected:${1}`;

export function decodePtm(page: Page, at: number): void {
  page.put('Precision Time Measurement\n');
  if (!page.has(at + 4, 8)) {
    page.line(2, '<unreadable>');
    return;
  }
  const [cap, control] = [page.u32(at + 4), page.u32(at + 8)];
  page.line(2, PTM_CAP(cap));
  page.line(2, `PTMClockGranularity: ${granularity(field(cap, 8, 8), 'Unimplemented')}`);
  page.line(2, PTM_CTL(control));
  page.line(2, `PTMEffectiveGranularity: ${granularity(field(control, 8, 8), 'Unknown')}`);
}

function granularity(ns: number, none: string): string {
  return ns === 0 ? none : ns === 0xff ? 'Greater than 254ns' : `${ns}ns`;
}
