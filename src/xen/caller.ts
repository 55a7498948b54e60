import {
  codec,
  DM_OP_INJECT_MSI,
  DMOP,
  DOMCTL,
  DOMCTL_ASSIGN_DEVICE,
  DOMCTL_BIND_PT_IRQ,
  DOMCTL_BIND_PT_IRQ_4_4,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_STATUS,
  EVTCHN_UNMASK,
  EVTCHNOP,
  HVM_INJECT_MSI,
  HVMOP,
  HYPERCALL,
  type MsiMessage,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_PCI_DEVICE,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  PT_IRQ_TYPE,
  type StructSpec,
  type StructValue,
  XEN_DOMCTL,
} from './abi/index.ts';
import type { Hypervisor } from './hypervisor.ts';

/** A call's result and, whatever that is, its argument afterwards. */
export type Answer<S extends StructSpec> = { ret: number } & StructValue<S>;

/** The hypercalls of one domain with named arguments; every one of them goes through its bytes. */
export class Caller {
  readonly #xen: Hypervisor;
  readonly domid: number;

  constructor(xen: Hypervisor, domid: number) {
    this.#xen = xen;
    this.domid = domid;
  }

  mapPirq(arg: Partial<StructValue<typeof PHYSDEV_MAP_PIRQ>>): Answer<typeof PHYSDEV_MAP_PIRQ> {
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.mapPirq, PHYSDEV_MAP_PIRQ, { index: -1, pirq: -1, ...arg });
  }

  unmapPirq(domid: number, pirq: number): number {
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.unmapPirq, PHYSDEV_UNMAP_PIRQ, { domid, pirq }).ret;
  }

  getFreePirq(type = 0): Answer<typeof PHYSDEV_GET_FREE_PIRQ> {
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.getFreePirq, PHYSDEV_GET_FREE_PIRQ, { type });
  }

  eoi(irq: number): number {
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.eoi, PHYSDEV_EOI, { irq }).ret;
  }

  irqStatusQuery(irq: number): Answer<typeof PHYSDEV_IRQ_STATUS_QUERY> {
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.irqStatusQuery, PHYSDEV_IRQ_STATUS_QUERY, { irq });
  }

  prepareMsix(sbdf: number): number {
    const device = { seg: sbdf >>> 16, bus: (sbdf >>> 8) & 0xff, devfn: sbdf & 0xff };
    return this.#call(HYPERCALL.physdevOp, PHYSDEVOP.prepareMsix, PHYSDEV_PCI_DEVICE, device).ret;
  }

  bindPirq(pirq: number, flags = 0): Answer<typeof EVTCHN_BIND_PIRQ> {
    return this.#call(HYPERCALL.eventChannelOp, EVTCHNOP.bindPirq, EVTCHN_BIND_PIRQ, { pirq, flags });
  }

  close(port: number): number {
    return this.#call(HYPERCALL.eventChannelOp, EVTCHNOP.close, EVTCHN_CLOSE, { port }).ret;
  }

  unmask(port: number): number {
    return this.#call(HYPERCALL.eventChannelOp, EVTCHNOP.unmask, EVTCHN_UNMASK, { port }).ret;
  }

  status(port: number, dom = this.domid): Answer<typeof EVTCHN_STATUS> {
    return this.#call(HYPERCALL.eventChannelOp, EVTCHNOP.status, EVTCHN_STATUS, { dom, port });
  }

  allocUnbound(dom = this.domid, remote_dom = this.domid): Answer<typeof EVTCHN_ALLOC_UNBOUND> {
    return this.#call(HYPERCALL.eventChannelOp, EVTCHNOP.allocUnbound, EVTCHN_ALLOC_UNBOUND, { dom, remote_dom });
  }

  /** Binds an MSI's pirq to the guest's vector and flags; `gtable` is the guest-physical MSI-X table, 0 for MSI. */
  bindPtMsi(domid: number, pirq: number, gvec: number, gflags: number, gtable = 0n): number {
    return this.#domctl(domid, DOMCTL.bindPtIrq, this.#ptBinding(pirq, gvec, gflags, gtable));
  }

  unbindPtMsi(domid: number, pirq: number): number {
    return this.#domctl(domid, DOMCTL.unbindPtIrq, this.#ptBinding(pirq, 0, 0, 0n));
  }

  assignDevice(domid: number, sbdf: number): number {
    const u = codec(DOMCTL_ASSIGN_DEVICE).encode({ 'u.pci.machine_sbdf': sbdf });
    return this.#domctl(domid, DOMCTL.assignDevice, u);
  }

  deassignDevice(domid: number, sbdf: number): number {
    const u = codec(DOMCTL_ASSIGN_DEVICE).encode({ 'u.pci.machine_sbdf': sbdf });
    return this.#domctl(domid, DOMCTL.deassignDevice, u);
  }

  /** An emulated device of `domid` sends a message, by whichever call the release has for that. */
  injectMsi(domid: number, message: MsiMessage): number {
    const addr = (BigInt(message.addressHi) << 32n) | BigInt(message.addressLo);
    if (this.#xen.profile.msiInjection === 'hvmop')
      return this.#call(HYPERCALL.hvmOp, HVMOP.injectMsi, HVM_INJECT_MSI, { domid, data: message.data, addr }).ret;
    const op = { op: DMOP.injectMsi, 'u.inject_msi.data': message.data, 'u.inject_msi.addr': addr };
    return this.#call(HYPERCALL.dmOp, domid, DM_OP_INJECT_MSI, op).ret;
  }

  #ptBinding(pirq: number, gvec: number, gflags: number, gtable: bigint): Uint8Array {
    const spec = this.#xen.profile.domctlLayout === '4.10' ? DOMCTL_BIND_PT_IRQ : DOMCTL_BIND_PT_IRQ_4_4;
    return codec<StructSpec>(spec).encode({
      machine_irq: pirq,
      irq_type: PT_IRQ_TYPE.msi,
      'u.msi.gvec': gvec,
      'u.msi.gflags': gflags,
      'u.msi.gtable': gtable,
    } as never);
  }

  #domctl(domain: number, cmd: number, u: Uint8Array): number {
    const interface_version = this.#xen.profile.domctlVersion;
    const bytes = codec(XEN_DOMCTL).encode({ cmd, interface_version, domain, u });
    return this.#xen.hypercall(this.domid, HYPERCALL.domctl, 0, bytes).ret;
  }

  #call<S extends StructSpec>(nr: number, cmd: number, spec: S, arg: Partial<StructValue<S>>): Answer<S> {
    const c = codec(spec, nr === HYPERCALL.dmOp ? 'x86-64' : this.#xen.domain(this.domid).abi);
    const { ret, bytes } = this.#xen.hypercall(this.domid, nr, cmd, c.encode(arg));
    return { ret, ...c.decode(bytes) };
  }
}
