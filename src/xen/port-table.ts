import { type Arena, FreeBitmap } from '../core/index.ts';

/** Internal states of an event channel. include/xen/sched.h: ECS_* */
export const ECS = { free: 0, reserved: 1, unbound: 2, interdomain: 3, pirq: 4, virq: 5, ipi: 6 } as const;

/** Ports come into being in buckets of this many. include/xen/sched.h: EVTCHNS_PER_BUCKET */
const PORTS_PER_BUCKET = 64;

/** A domain's event channels, one typed array per member. include/xen/sched.h: struct evtchn */
export class PortTable {
  /** Highest port that the toolstack lets the domain use. */
  readonly maxPort: number;
  /** Number of ports with two levels. */
  readonly abiLimit: number;
  /** Number of ports with FIFO event channels; 0 if the domain cannot have them. */
  readonly fifoLimit: number;
  readonly state: Int32Array;
  /** The vCPU that is notified. */
  readonly vcpu: Int32Array;
  /** The pirq, the virq, or the domain at the other end. */
  readonly peer: Int32Array;
  /** The port at the other end. */
  readonly peerPort: Int32Array;
  /** PIRQ ports of one vCPU form a list. */
  readonly nextPirqPort: Int32Array;
  readonly prevPirqPort: Int32Array;
  readonly firstPirqPort: Int32Array;
  readonly priority: Int32Array;
  /** Free ports, those included that do not exist yet. */
  readonly #free: FreeBitmap;
  /** Ports that exist; then the number of those in use. */
  readonly #counts: Int32Array;

  constructor(arena: Arena, domid: number, maxPort: number, abiLimit: number, vcpus: number, fifoLimit = 0) {
    this.maxPort = maxPort;
    this.abiLimit = abiLimit;
    this.fifoLimit = fifoLimit;
    const capacity = Math.ceil(Math.min(maxPort + 1, fifoLimit || abiLimit) / PORTS_PER_BUCKET) * PORTS_PER_BUCKET;
    const column = (name: string, length = capacity) => arena.int32(length, `xen.dom${domid}.port.${name}`);
    this.state = column('state');
    this.vcpu = column('vcpu');
    this.peer = column('peer');
    this.peerPort = column('peerPort');
    this.nextPirqPort = column('nextPirqPort');
    this.prevPirqPort = column('prevPirqPort');
    this.priority = column('priority');
    this.firstPirqPort = column('firstPirqPort', vcpus);
    this.#counts = column('counts', 2);
    this.#free = new FreeBitmap(arena, capacity, `xen.dom${domid}.port.free`);
  }

  /** No port in use but 0, which is reserved for ever. */
  reset(): void {
    for (const column of [this.state, this.vcpu, this.peer, this.peerPort, this.nextPirqPort, this.prevPirqPort])
      column.fill(0);
    this.firstPirqPort.fill(0);
    this.priority.fill(0);
    this.#counts[0] = PORTS_PER_BUCKET;
    this.state[0] = ECS.reserved;
    this.#free.fill();
    this.#free.set(0, false);
  }

  /** True if a port is one that exists, whether in use or not. */
  isValid(port: number): boolean {
    return port >= 0 && port < this.#counts[0];
  }

  /** The channel can carry events. */
  isUsable(port: number): boolean {
    return this.state[port] > ECS.reserved;
  }

  get validPorts(): number {
    return this.#counts[0];
  }

  get active(): number {
    return this.#counts[1];
  }

  /** The lowest free port, taken, or −1 if there is none. common/event_channel.c: get_free_port */
  take(abiLimit: number, isBusy: (port: number) => boolean): number {
    const limit = Math.min(this.maxPort, abiLimit - 1);
    for (let port = this.#free.lowest(); port >= 0 && port <= limit; port = this.#free.lowest(port + 1)) {
      if (port >= this.#counts[0]) this.#counts[0] += PORTS_PER_BUCKET;
      else if (isBusy(port)) continue;
      this.#counts[1]++;
      this.#free.set(port, false);
      return port;
    }
    return -1;
  }

  /** Undoes {@link take} for a port that was not put to use. */
  giveBack(port: number): void {
    this.#counts[1]--;
    this.#free.set(port, true);
  }

  free(port: number): void {
    this.giveBack(port);
    this.state[port] = ECS.free;
    this.vcpu[port] = 0;
  }

  linkPirqPort(port: number): void {
    const vcpu = this.vcpu[port];
    const head = this.firstPirqPort[vcpu];
    this.prevPirqPort[port] = 0;
    this.nextPirqPort[port] = head;
    if (head) this.prevPirqPort[head] = port;
    this.firstPirqPort[vcpu] = port;
  }

  unlinkPirqPort(port: number): void {
    const prev = this.prevPirqPort[port];
    const next = this.nextPirqPort[port];
    if (prev) this.nextPirqPort[prev] = next;
    else this.firstPirqPort[this.vcpu[port]] = next;
    if (next) this.prevPirqPort[next] = prev;
  }
}
