import { Qemu, qemuVersion } from '../../src/harness/qemu/process.ts';
import { CONFIG_ADDRESS, CONFIG_DATA } from '../../src/pci/index.ts';
import type { Work } from '../harness/question.ts';
import { BDF } from './drive.ts';

/**
 * A pair at a real QEMU's NVMe controller, over a Unix socket: the two commands are sent together, so that a pair is one
 * round trip, and the next is sent when its answer is there.
 */
export async function overQtest(): Promise<Work | string> {
  if (qemuVersion() === undefined) return 'no QEMU';
  const qemu = await Qemu.start({ args: ['-device', 'nvme,serial=bench,addr=4'] });
  const { qtest } = qemu;
  return {
    wallClock: true,
    run: async (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) {
        const address = (0x80000000 | (BDF << 8) | ((n & 15) << 2)) >>> 0;
        const [, value] = await Promise.all([qtest.out(CONFIG_ADDRESS, 4, address), qtest.in(CONFIG_DATA, 4)]);
        sum = (sum + value) | 0;
      }
      return sum;
    },
    close: () => qemu.close(),
  };
}
