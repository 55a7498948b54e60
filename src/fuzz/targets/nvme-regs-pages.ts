import type { NvmeFunction } from '../../pci/devices/nvme/index.ts';
import type { WatchedMemory } from './nvme-regs-memory.ts';
import { command, cqPage, DATA_PAGES, ENABLED, type NvmeVariant, PAGE, sqPage } from './nvme-regs-shapes.ts';

const [AT] = DATA_PAGES.map((page) => page * PAGE);

/**
 * The pages that a controller's maker fills as he likes, asked of the controller itself; but what they repeat of its
 * registers and of what it was made with is put in from there. NVMe 1.4 §5.15.2, §5.14.1
 */
export function readPages(fn: NvmeFunction, memory: WatchedMemory, v: NvmeVariant): Map<string, Uint8Array> {
  const pages = new Map<string, Uint8Array>();
  let slot = 0;
  const ask = (name: string, opcode: number, nsid: number, dword10: number, length: number) => {
    memory.bytes.set(command({ 0: opcode, 1: nsid, 6: AT, 10: dword10 }), sqPage(0) + 64 * slot++);
    fn.writeBar(0, 0x1000, 4, slot);
    pages.set(name, memory.bytes.slice(AT, AT + length));
  };
  fn.writeConfig(4, 2, 6);
  fn.writeBar(0, 0x24, 4, 0x0007_0007);
  fn.writeBar(0, 0x28, 4, sqPage(0));
  fn.writeBar(0, 0x30, 4, cqPage(0));
  fn.writeBar(0, 0x14, 4, ENABLED);
  ask('identify 0', 6, 1, 0, PAGE);
  ask('identify 1', 6, 0, 1, PAGE);
  ask('identify 3', 6, 1, 3, PAGE);
  ask('log 3', 2, 0, 3 | (127 << 16), 512);
  ask('log 5', 2, 0, 5 | (1023 << 16), PAGE);
  const view = (name: string) => new DataView(pages.get(name)!.buffer);
  putController(view('identify 1'), fn, v);
  const ns = view('identify 0');
  for (const at of [0, 8, 16]) {
    ns.setUint32(at, v.blockCount, true);
    ns.setUint32(at + 4, 0, true);
  }
  ns.setUint8(26, 0);
  ns.setUint8(130, v.blockSizeLog2);
  const eui = pages.get('identify 0')!.subarray(120, 128);
  const descriptors = pages.get('identify 3')!;
  descriptors.fill(0);
  descriptors.set([1, 8, 0, 0, ...eui]);
  const effects = view('log 5');
  for (const opcode of [0, 1, 2, 4, 5, 6, 8, 9, 10, 12]) effects.setUint32(4 * opcode, 1, true);
  for (const opcode of [0, 2, 5]) effects.setUint32(1024 + 4 * opcode, 1, true);
  for (const opcode of [1, 8, 9]) effects.setUint32(1024 + 4 * opcode, 3, true); // these change blocks
  return pages;
}

function putController(id: DataView, fn: NvmeFunction, v: NvmeVariant): void {
  id.setUint16(0, fn.getConfig(0, 2), true);
  id.setUint16(2, fn.getConfig(0x2c, 2), true);
  id.setUint8(77, v.shape.mdts!);
  id.setUint32(80, fn.readBar(0, 8, 4), true);
  id.setUint8(259, v.shape.asyncEventRequests! - 1);
  id.setUint8(262, v.shape.errorLogEntries! - 1);
  id.setUint8(512, 0x66);
  id.setUint8(513, 0x44);
  id.setUint32(516, 1, true);
  id.setUint16(520, 0x1d, true); // compare, dataset management, write zeroes, select in Get Features
  id.setUint8(525, id.getUint8(525) | 1); // a volatile write cache
}
