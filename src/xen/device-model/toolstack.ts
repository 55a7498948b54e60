import {
  codec,
  DOMCTL,
  DOMCTL_BIND_PT_IRQ,
  DOMCTL_BIND_PT_IRQ_4_4,
  HYPERCALL,
  MAP_PIRQ_TYPE,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  PT_IRQ_TYPE,
  XEN_DOMCTL,
} from '../abi/index.ts';
import type { MapPirqMsi, MsiBinding, Toolstack } from './calls.ts';

/** Makes a hypercall as the domain of the device model; `bytes` in the answer are the argument after the call. */
export type Hypercall = (nr: number, cmd: number, bytes: Uint8Array) => { ret: number; bytes: Uint8Array };

export interface ToolstackOptions {
  /** The guest that the device model serves. */
  domid: number;
  /** XEN_DOMCTL_INTERFACE_VERSION of the headers that libxenctrl is built with; another than the hypervisor's fails. */
  domctlVersion: number;
  /** bind_pt_irq up to Xen 4.9 names the guest a second time and is 8 bytes longer. */
  domctlLayout: '4.4' | '4.9' | '4.10';
  /** Type of xc_physdev_map_pirq_msi: MSI_SEG since late 2025, before that MSI. Default MSI. */
  mapType?: 'msi' | 'msiSeg';
  /** The device model gives up; see {@link Toolstack.fatal}. Default: nothing. */
  onFatal?: (reason: string) => void;
}

/**
 * libxenctrl over hypercall bytes, as the pass-through code uses it.
 * tools/libs/ctrl/xc_physdev.c, xc_domain.c (tools/libxc before Xen 4.14)
 */
export class HypercallToolstack implements Toolstack {
  readonly #hypercall: Hypercall;
  readonly #options: ToolstackOptions;

  constructor(hypercall: Hypercall, options: ToolstackOptions) {
    this.#hypercall = hypercall;
    this.#options = options;
  }

  mapPirqMsi({ index, pirq, devfn, bus, entry, tableBase }: MapPirqMsi): { rc: number; pirq: number } {
    const map = codec(PHYSDEV_MAP_PIRQ);
    const argument = map.encode({
      domid: this.#options.domid,
      type: MAP_PIRQ_TYPE[this.#options.mapType ?? 'msi'],
      index,
      pirq,
      bus,
      devfn,
      entry_nr: entry,
      table_base: BigInt(tableBase),
    });
    const { ret, bytes } = this.#hypercall(HYPERCALL.physdevOp, PHYSDEVOP.mapPirq, argument);
    // The wanted number stays in place unless the call gave exactly 0.
    return { rc: ret, pirq: ret === 0 ? map.decode(bytes).pirq : pirq };
  }

  updateMsiIrq({ gvec, pirq, gflags, gtable }: MsiBinding & { gtable: number }): number {
    return this.#domctl(DOMCTL.bindPtIrq, pirq, { gvec, gflags, gtable });
  }

  unbindMsiIrq({ gvec, pirq, gflags }: MsiBinding): number {
    return this.#domctl(DOMCTL.unbindPtIrq, pirq, { gvec, gflags, gtable: 0 });
  }

  unmapPirq(pirq: number): number {
    const argument = codec(PHYSDEV_UNMAP_PIRQ).encode({ domid: this.#options.domid, pirq });
    return this.#hypercall(HYPERCALL.physdevOp, PHYSDEVOP.unmapPirq, argument).ret;
  }

  unbindPtIrq(pirq: number): number {
    return this.#domctl(DOMCTL.unbindPtIrq, pirq & 0xff, { gvec: 0, gflags: 0, gtable: 0 });
  }

  fatal(reason: string): void {
    this.#options.onFatal?.(reason);
  }

  #domctl(cmd: number, pirq: number, msi: { gvec: number; gflags: number; gtable: number }): number {
    const { domid, domctlVersion, domctlLayout } = this.#options;
    const outer = codec(XEN_DOMCTL);
    const argument = outer.encode({ cmd, interface_version: domctlVersion, domain: domid });
    const common = {
      machine_irq: pirq,
      irq_type: PT_IRQ_TYPE.msi,
      'u.msi.gvec': msi.gvec,
      'u.msi.gflags': msi.gflags,
      'u.msi.gtable': BigInt(msi.gtable),
    };
    if (domctlLayout === '4.10') codec(DOMCTL_BIND_PT_IRQ).encode(common, argument, outer.at.u);
    else codec(DOMCTL_BIND_PT_IRQ_4_4).encode({ ...common, hvm_domid: domid }, argument, outer.at.u);
    return this.#hypercall(HYPERCALL.domctl, cmd, argument).ret;
  }
}
