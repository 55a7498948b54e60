import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import { getKernelProfile } from '../../src/guest/index.ts';
import { amplestHost, BringUp, type BringUpHost, type LimitName } from '../../src/lab/index.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';
import { getXenProfile, type XenProfile, xenProfileNames } from '../../src/xen/index.ts';

const QUEUES = 8;
/** One for each I/O queue and one for the admin queue: Linux 6.1. */
const VECTORS = QUEUES + 1;
const GSIS = 48;

function bringUp(xen: XenProfile | string, controllers: number, host: BringUpHost, kernel = 'linux-6.1'): BringUp {
  return new BringUp({
    xen: typeof xen === 'string' ? getXenProfile(xen) : xen,
    kernel: getKernelProfile(kernel),
    deviceModel: deviceModel('qemu-7.2'),
    controllers,
    queues: QUEUES,
    host,
  });
}

/** Probes until a call is refused: which limit, which call and errno, how many controllers were complete, what is deaf. */
function stopOf(run: BringUp) {
  for (let i = 0; i < run.slots.length; i++) {
    const { state, vectors } = run.probe(i);
    if (!run.refusal) continue;
    const { limit, call, errno, controller, vector } = run.refusal;
    expect(controller).toBe(i);
    return {
      limit: limit as LimitName,
      refused: `${call} ${errno}`,
      vector,
      complete: i,
      state,
      vectors,
      deaf: run.deafVectors(i),
    };
  }
  return undefined;
}

/** Above all that these runs need. */
const ENOUGH = { nrIrqs: 4096, extraGuestIrqs: 4000, maxPort: 4000 };

describe.each(xenProfileNames())('%s stops', (xen) => {
  test('at the pirqs of the domain: 32 beyond the GSIs by default', () => {
    // common/domain.c: extra_guest_irqs=32; arch/x86/irq.c get_free_pirq -ENOSPC. Three controllers take 27; the fourth has
    // 5 of 9, and none is left for the plain MSI that is tried next: arch/x86/pci/xen.c xen_hvm_setup_msi_irqs -ENODEV
    expect(stopOf(bringUp(xen, 5, { cpus: 32, gsis: GSIS }))).toEqual({
      limit: 'pirqs of the domain',
      refused: 'get_free_pirq ENOSPC',
      vector: 5,
      complete: 3,
      state: 'failed',
      vectors: 0,
      deaf: 0,
    });
  });

  test('at the event channels of the domain, and the kernel does not notice', () => {
    // common/event_channel.c: get_free_port -ENOSPC; Linux __startup_pirq logs and answers 0. Ports 1 … 20: two controllers
    // take 18, the third two
    expect(stopOf(bringUp(xen, 5, { cpus: 32, gsis: GSIS, ...ENOUGH, maxPort: 20 }))).toEqual({
      limit: 'event channel ports',
      refused: 'bind_pirq ENOSPC',
      vector: 2,
      complete: 2,
      state: 'up',
      vectors: VECTORS,
      deaf: 7,
    });
  });

  test('at the vectors of two CPUs, with the errno of create_irq lost', () => {
    // arch/x86/irq.c: _assign_irq_vector, init_irq_data; reference §2.4. Up to 4.8: 0x20 … 0xdf less 0x20, 0x80, 0x82 = 189.
    // 4.17: 0x20 … 0xef less the PIC's 16 and 0x80, 0x82 = 190; 4.19's branch: 0x30 is the HPET's as well, 189. Both CPUs
    // share vectors there (flat mode, up to 8 CPUs). 4.22: 189 on CPU 0, 202 on the other. Less 46 of GSIs: all but 0 and 2
    const room = { 'xen-4.4': 189, 'xen-4.8': 189, 'xen-4.19': 189, 'xen-4.22': 189 + 202 }[xen] ?? 190;
    const left = room - 46;
    expect(stopOf(bringUp(xen, 64, { cpus: 2, gsis: GSIS, ...ENOUGH }))).toEqual({
      limit: 'CPU vectors',
      refused: 'map_pirq EINVAL',
      vector: left % VECTORS,
      complete: Math.floor(left / VECTORS),
      // with its admin vector deaf as well, the driver finds completions by looking when commands time out
      state: left % VECTORS ? 'up' : 'slow',
      vectors: VECTORS,
      deaf: VECTORS - (left % VECTORS),
    });
  });

  test('at the functions that a guest can have', () => {
    // one bus of 32 devices, three of them taken, 8 functions each
    const run = bringUp(xen, 300, { cpus: 32, gsis: GSIS, ...ENOUGH });
    expect(run.slots).toHaveLength(232);
    expect(new Set(run.slots.map((slot) => slot.guestBdf)).size).toBe(232);
  });
});

test('beyond the remapping table a map fails with EFAULT', () => {
  // drivers/passthrough/vtd/intremap.c: msi_msg_to_remap_entry
  const xen = getXenProfile('xen-4.17');
  const small = { ...xen, limits: { ...xen.limits, remappingEntries: 20 } };
  expect(stopOf(bringUp(small, 5, { cpus: 32, gsis: GSIS, ...ENOUGH }))).toMatchObject({
    limit: 'remapping entries',
    refused: 'map_pirq EFAULT',
    vector: 2,
    complete: 2,
    deaf: 7,
  });
});

test('a guest has no more queues than vCPUs', () => {
  const options = { kernel: getKernelProfile('linux-6.1'), deviceModel: deviceModel('qemu-7.2'), controllers: 1 };
  const host = { cpus: 32, gsis: GSIS, ...ENOUGH };
  const run = new BringUp({ ...options, xen: getXenProfile('xen-4.17'), queues: 2048, host });
  expect(run.shape).toMatchObject({ queues: 128, vectors: 129 });
});

describe('xen-unbounded', () => {
  const CONTROLLERS = 300;

  test('brings up more than any release, every vector with its own pirq, port and irq, and they deliver', () => {
    const run = bringUp('xen-unbounded', CONTROLLERS, amplestHost(CONTROLLERS, QUEUES));
    for (let i = 0; i < CONTROLLERS; i++)
      expect(run.probe(i)).toEqual({ state: 'up', mode: 'msix', vectors: VECTORS, queues: QUEUES });
    expect(run.refusals).toBe(0);
    expect(run.boundVectors).toBe(CONTROLLERS * VECTORS);
    expect(run.findFlaw(CONTROLLERS)).toBeUndefined();
    const prng = new Prng(5);
    for (let n = 0; n < 50; n++) expect(run.readBlock(prng.below(CONTROLLERS), 1 + prng.below(QUEUES))).toBe(true);
    expect(run.findFlaw(CONTROLLERS)).toBeUndefined();
  });

  test.each(['linux-3.13', 'linux-4.4.0-59', 'linux-4.4.0-61'])('%s comes up as well', (kernel) => {
    const run = bringUp('xen-unbounded', 3, amplestHost(3, QUEUES), kernel);
    for (let i = 0; i < 3; i++) expect(run.probe(i)).toMatchObject({ state: 'up', vectors: QUEUES, queues: QUEUES });
    expect(run.readBlock(2, QUEUES)).toBe(true);
  });

  test('a controller with all 2048 vectors', () => {
    const options = { kernel: getKernelProfile('linux-6.1'), deviceModel: deviceModel('qemu-7.2'), controllers: 1 };
    const run = new BringUp({
      ...options,
      xen: getXenProfile('xen-unbounded'),
      queues: 2048,
      host: amplestHost(1, 2048),
    });
    expect(run.probe(0)).toEqual({ state: 'up', mode: 'msix', vectors: 2048, queues: 2047 });
    expect(run.findFlaw(1)).toBeUndefined();
    expect(run.readBlock(0, 2047)).toBe(true);
  });

  test('indices of remapping entries beyond 16 bits reach the device and come back', () => {
    const host = { ...amplestHost(150, 2048), gsis: GSIS };
    const options = { kernel: getKernelProfile('linux-6.1'), deviceModel: deviceModel('qemu-7.2'), controllers: 2 };
    const run = new BringUp({ ...options, xen: getXenProfile('xen-unbounded'), queues: QUEUES, host });
    // descriptors are taken from the lowest free one up, so that these have been
    expect(run.hypervisor.host.msis.allocate((1 << 18) + 1)).toBe(0);
    for (let i = 0; i < 2; i++) expect(run.probe(i).state).toBe('up');
    expect(run.slots[1].fn.msix!.entry(1)).toMatchObject({ addressHi: 4 });
    expect(run.readBlock(1, 1)).toBe(true);
  });
});
