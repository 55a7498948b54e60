import { decodeBars, decodeRom } from './bars.ts';
import { decodeBridge, decodeCardBus } from './bridge.ts';
import { decodeCapabilities } from './capabilities.ts';
import { field, hexText, named, reg } from './layout.ts';
import { type DecodedFunction, Page } from './page.ts';
import { progIfName } from './prog-if.ts';

/** Command, 16 bit at 04h. PCI 3.0 §6.2.2. */
const COMMAND = reg`Control: I/O${0} Mem${1} BusMaster${2} SpecCycle${3} MemWINV${4} VGASnoop${5} ParErr${6} Stepping${7} SERR${8} FastB2B${9} DisINTx${10}`;

/** Status, 16 bit at 06h. PCI 3.0 §6.2.3. */
const STATUS = reg`Status: Cap${4} 66MHz${5} UDF${6} FastB2B${7} ParErr${8} DEVSEL=${named(9, 2, ['fast', 'medium', 'slow'], '??')} >TAbort${11} <TAbort${12} <MAbort${13} >SERR${14} <PERR${15} INTx${3}`;

const SSVID_CAPABILITY = 0x0d;

/**
 * Prints a function as `lspci -vvv -n -F` of pciutils 3.9.0 prints a dump of it: header, BARs and every capability.
 * @param fn at least 64 bytes; what a shorter dump does not hold is left out as lspci leaves it out
 * @param domains whether slots are printed with their domain (lspci does if any function of the dump has one)
 */
export function decodeFunction(fn: DecodedFunction, domains = domainOf(fn) > 0): string {
  const page = new Page(fn);
  page.put(`${terseLine(fn, domains)}${progIfText(page)}\n`);
  const subsystem = subsystemOf(page);
  if (subsystem && subsystem.vendor !== 0 && subsystem.vendor !== 0xffff)
    page.line(1, `Subsystem: ${hexText(subsystem.vendor, 4)}:${hexText(subsystem.device, 4)}`);

  const layout = page.headerLayout;
  const deviceClass = page.u16(0x0a);
  if (layout > 2) page.line(1, `!!! Unknown header type ${hexText(layout, 2)}`);
  else if (layout === 0 ? deviceClass === 0x0604 : deviceClass >> 8 !== 0x06)
    page.line(1, `!!! Invalid class ${hexText(deviceClass, 4)} for header type ${hexText(layout, 2)}`);

  if (layout <= 2) decodeControl(page, layout);
  const pin = layout <= 2 ? page.u8(0x3d) : 0;
  const line = page.u8(0x3c);
  if (pin || line) page.line(1, `Interrupt: pin ${pinLetter(pin)} routed to IRQ ${line}`);
  if (layout > 2) return page.text;
  const bist = page.u8(0x0f);
  if (bist & 0x80) page.line(1, bist & 0x40 ? 'BIST is running' : `BIST result: ${hexText(bist & 15, 2)}`);

  if (layout === 0) {
    decodeBars(page);
    decodeRom(page, 0x30);
    decodeCapabilities(page, 0x34);
  } else if (layout === 1) decodeBridge(page);
  else decodeCardBus(page);
  return page.text;
}

/** The one line that `lspci -n` prints of a function: `00:04.0 0108: 1b36:0010 (rev 02)`. */
export function terseLine(fn: DecodedFunction, domains = domainOf(fn) > 0): string {
  const page = new Page(fn);
  const { bdf } = fn;
  const domain = domains ? `${hexText(domainOf(fn), 4)}:` : '';
  const slot = `${hexText((bdf >> 8) & 0xff, 2)}:${hexText((bdf >> 3) & 31, 2)}.${bdf & 7}`;
  const revision = page.u8(0x08) ? ` (rev ${hexText(page.u8(0x08), 2)})` : '';
  return `${domain}${slot} ${hexText(page.u16(0x0a), 4)}: ${hexText(page.u16(0), 4)}:${hexText(page.u16(2), 4)}${revision}`;
}

/** A to D; lspci goes on through the character set for the reserved values, which here end at Z. PCI 3.0 §6.2.4. */
function pinLetter(pin: number): string {
  return pin >= 1 && pin <= 26 ? String.fromCharCode(64 + pin) : '?';
}

/** PCI segment group of a function, all of it. */
export function domainOf({ bdf, domain }: DecodedFunction): number {
  return domain ?? bdf >>> 16;
}

function progIfText(page: Page): string {
  const progIf = page.u8(0x09);
  const name = progIfName(page.u16(0x0a), progIf);
  return progIf || name ? ` (prog-if ${hexText(progIf, 2)}${name ? ` [${name}]` : ''})` : '';
}

/** Subsystem IDs: in the header of an endpoint and a CardBus bridge, in a capability of a PCI bridge. */
function subsystemOf(page: Page): { vendor: number; device: number } | undefined {
  const at = page.headerLayout === 0 ? 0x2c : page.headerLayout === 2 ? 0x40 : bridgeSubsystemAt(page);
  if (at === undefined) return undefined;
  return page.has(at, 4) ? { vendor: page.u16(at), device: page.u16(at + 2) } : undefined;
}

function bridgeSubsystemAt(page: Page): number | undefined {
  if (page.headerLayout !== 1 || !(page.u16(0x06) & 0x10)) return undefined;
  const seen = new Set<number>();
  for (let at = page.u8(0x34) & ~3; at && !seen.has(at) && page.has(at, 2); at = page.u8(at + 1) & ~3) {
    if (page.u8(at) === 0xff) return undefined;
    if (page.u8(at) === SSVID_CAPABILITY) return at + 4;
    seen.add(at);
  }
  return undefined;
}

function decodeControl(page: Page, layout: number): void {
  const command = page.u16(0x04);
  page.line(1, COMMAND(command));
  page.line(1, STATUS(page.u16(0x06)));
  if (!field(command, 2, 1)) return;
  // Only a bus master has a latency timer worth printing. Min_Gnt and Max_Lat count 250 ns; PCI 3.0 §6.2.4.
  const [minGrant, maxLatency] = layout === 0 ? [page.u8(0x3e), page.u8(0x3f)] : [0, 0];
  const limits = [
    ...(minGrant ? [`${minGrant * 250}ns min`] : []),
    ...(maxLatency ? [`${maxLatency * 250}ns max`] : []),
  ];
  const cacheLine = page.u8(0x0c) ? `, Cache Line Size: ${page.u8(0x0c) * 4} bytes` : '';
  page.line(1, `Latency: ${page.u8(0x0d)}${limits.length ? ` (${limits.join(', ')})` : ''}${cacheLine}`);
}
