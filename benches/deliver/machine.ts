import { getKernelProfile, WORKLOADS } from '../../src/guest/index.ts';
import { builtinDrive, GUEST_DOMAIN, Machine, type Slot } from '../../src/lab/index.ts';
import type { MessageSink } from '../../src/pci/index.ts';
import { codec, SHARED_INFO, VCPU_INFO } from '../../src/xen/abi/index.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';
import { getXenProfile, type Hypervisor } from '../../src/xen/index.ts';
import type { Work } from '../harness/question.ts';

const CONTROLLERS = 16;
const VECTORS = 8;
const PORTS = 256;

const page = codec(SHARED_INFO).at;
const SELECTOR = codec(VCPU_INFO).at.evtchn_pending_sel;

/** The machine of the other commands, its guest's drivers up: every vector has a pirq and an event channel. */
function bringUp(): Machine {
  const kernel = getKernelProfile('linux-4.4.0-61');
  const machine = new Machine({
    deviceModel: deviceModel('qemu-2.1'),
    kernel,
    xen: getXenProfile('xen-4.17'),
    controllers: CONTROLLERS,
    vectors: VECTORS,
    drive: builtinDrive('144d-a826'),
    gsis: 24,
    extraGuestIrqs: CONTROLLERS * VECTORS + 8,
  });
  const { make } = WORKLOADS['one-disable-many'];
  for (const [task, slot] of machine.slots.entries()) machine.run(task, make(machine.guest, slot.controller));
  return machine;
}

/** What a guest takes off the shared page: the port that is pending, which is so no more. One vCPU, two levels. */
class Events {
  readonly #bytes: Uint8Array;

  constructor(sharedInfo: Uint8Array) {
    this.#bytes = sharedInfo;
  }

  take(): number {
    const bytes = this.#bytes;
    bytes[0] = 0;
    if (bytes[SELECTOR] === 0) return -1;
    bytes[SELECTOR] = 0;
    for (let at = 0; at < PORTS >> 3; at++) {
      const bits = bytes[page.evtchn_pending + at];
      if (bits === 0) continue;
      bytes[page.evtchn_pending + at] = 0;
      return 8 * at + 31 - Math.clz32(bits);
    }
    return -1;
  }
}

/** Messages go on to the hypervisor. */
class ToHost implements MessageSink {
  readonly #hypervisor: Hypervisor;

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor;
  }

  message(_vector: number, addressLo: number, addressHi: number, data: number): void {
    this.#hypervisor.deliverMessage(addressLo, addressHi, data);
  }
}

/** A device raises a vector, its message goes through the hypervisor, and the event is taken off the shared page. */
function loop(machine: Machine, raise: (slot: Slot, vector: number) => void): (count: number) => number {
  const { slots } = machine;
  const events = new Events(machine.hypervisor.domain(GUEST_DOMAIN).sharedInfo);
  return (count) => {
    let sum = 0;
    for (let n = 0; n < count; n++) {
      raise(slots[n & (CONTROLLERS - 1)], (n >> 4) & (VECTORS - 1));
      sum = Math.imul(sum ^ events.take(), 0x01000193);
    }
    return sum;
  };
}

/** As the machine does it: messages wait in the slot's queue until the access is over. */
export function byQueue(heapGrowth: (run: (count: number) => number) => number): Work {
  const machine = bringUp();
  const host = new ToHost(machine.hypervisor);
  const run = loop(machine, ({ fn, messages }, vector) => {
    fn.raise(vector);
    messages.drain(host);
  });
  return { run, figures: () => ({ heapGrowth: heapGrowth(run) }) };
}

/** As it was done: an object for each message in the function's list of effects. */
export function byEffects(): Work {
  const machine = bringUp();
  const { hypervisor } = machine;
  for (const slot of machine.slots) slot.fn.messages = undefined;
  const run = loop(machine, ({ fn }, vector) => {
    fn.raise(vector);
    for (const effect of fn.effects.splice(0))
      if (effect.kind === 'message') hypervisor.deliverMessage(effect.addressLo, effect.addressHi, effect.data);
  });
  return { run };
}
