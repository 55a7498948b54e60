import { field, flag, hexText } from '../layout.ts';
import type { Page } from '../page.ts';

const ELEMENT_TYPES = ['Config', 'Egress', 'Internal'];

/** Root Complex Link Declaration: element self description at +4, 16-byte links from +10h. PCIe 5.0 §7.9.8. */
export function decodeRootComplexLink(page: Page, at: number): void {
  page.put('Root Complex Link\n');
  if (!page.has(at + 4, 12)) return;
  const element = page.u32(at + 4);
  const type = field(element, 0, 8);
  const [port, component] = [hexText(field(element, 24, 8), 2), hexText(field(element, 16, 8), 2)];
  page.line(2, `Desc:	PortNumber=${port} ComponentID=${component} EltType=${ELEMENT_TYPES[type] ?? `??${type}`}`);
  for (let link = 0; link < field(element, 8, 8); link++) {
    const entry = at + 16 + 16 * link;
    if (!page.has(entry, 16)) {
      page.line(2, `Link${link}:	<unreadable>`);
      return;
    }
    decodeLink(page, entry, link);
  }
}

function decodeLink(page: Page, at: number, link: number): void {
  const description = page.u32(at);
  const [low, high] = [page.u32(at + 8), page.u32(at + 12)];
  const toConfig = field(description, 1, 1) === 1;
  const [port, component] = [hexText(field(description, 24, 8), 2), hexText(field(description, 16, 8), 2)];
  page.line(
    2,
    `Link${link}:	Desc:	TargetPort=${port} TargetComponent=${component} AssocRCRB${flag(description, 2)} ` +
      `LinkType=${toConfig ? 'Config' : 'MemMapped'} LinkValid${flag(description, 0)}`,
  );
  const address = hexText(high, 8) + hexText(low, 8);
  if (!toConfig) {
    page.line(3, `Addr:	${address}`);
    return;
  }
  const busBits = field(low, 0, 3) || 8;
  const slot = `${hexText(field(low, 20, busBits), 2)}:${hexText(field(low, 15, 5), 2)}.${field(low, 12, 3)}`;
  page.line(3, `Addr:	${slot}  CfgSpace=${address}`);
}

/** Root Complex Event Collector Endpoint Association: a bitmap of devices, from version 2 also buses. PCIe 5.0 §7.9.10. */
export function decodeEventCollector(page: Page, at: number): void {
  page.put('Root Complex Event Collector Endpoint Association\n');
  if (!page.has(at, 12)) return;
  const bitmap = page.u32(at + 4);
  page.line(2, `RCiEPBitmap: ${bitmap ? `RCiEP at Device(s):${deviceRuns(bitmap)}` : '00000000 [none]'}`);
  if (field(page.u32(at), 16, 4) < 2) return;
  const [next, last] = [page.u8(at + 9), page.u8(at + 10)];
  const none = last === 0 && next === 0xff;
  page.line(2, `AssociatedBusNumbers: ${none ? 'ff-00 [none]' : `${hexText(next, 2)}-${hexText(last, 2)}`}`);
}

/** ` 0-3, 7`. A run that reaches device 31 is printed by its first device alone, as lspci prints it. */
function deviceRuns(bitmap: number): string {
  const runs = [];
  for (let first = 0; first < 32; first++) {
    if (!field(bitmap, first, 1)) continue;
    let last = first;
    while (last < 31 && field(bitmap, last + 1, 1)) last++;
    runs.push(` ${first}${last > first && last < 31 ? `-${last}` : ''}`);
    first = last;
  }
  return runs.join(',');
}
