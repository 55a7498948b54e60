import {
  ERRNO,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHN_BIND_INTERDOMAIN,
  EVTCHN_BIND_IPI,
  EVTCHN_BIND_PIRQ,
  EVTCHN_BIND_VCPU,
  EVTCHN_BIND_VIRQ,
  EVTCHN_CLOSE,
  EVTCHN_EXPAND_ARRAY,
  EVTCHN_INIT_CONTROL,
  EVTCHN_RESET,
  EVTCHN_SEND,
  EVTCHN_SET_PRIORITY,
  EVTCHN_STATUS,
  EVTCHN_UNMASK,
  EVTCHNOP,
  EVTCHNSTAT,
} from '../abi/index.ts';
import type { Domain } from '../domain.ts';
import {
  allocUnbound,
  bindInterdomain,
  bindIpi,
  bindPirq,
  bindVcpu,
  bindVirq,
  closePort,
  reset,
  send,
  status,
  unmask,
} from '../event-channel.ts';
import { expandArray, initControl, setPriority } from '../event-fifo.ts';
import { setPending } from '../event-port.ts';
import type { Host } from '../host.ts';
import type { Argument } from './argument.ts';
import { read, write } from './physdev.ts';

/** event_channel_op(cmd, arg). What a call hands out is written back only if it succeeds. */
export function eventChannelOp(h: Host, d: Domain, cmd: number, arg: Argument): number {
  switch (cmd) {
    case EVTCHNOP.allocUnbound: {
      const a = read(d, EVTCHN_ALLOC_UNBOUND, arg);
      if (!a) return -ERRNO.EFAULT;
      const { ret, port } = allocUnbound(h, d, a.value.dom, a.value.remote_dom);
      return ret || write(a, arg, { port });
    }
    case EVTCHNOP.bindInterdomain: {
      const a = read(d, EVTCHN_BIND_INTERDOMAIN, arg);
      if (!a) return -ERRNO.EFAULT;
      const { ret, port } = bindInterdomain(h, d, a.value.remote_dom, a.value.remote_port);
      return ret || write(a, arg, { local_port: port });
    }
    case EVTCHNOP.bindVirq: {
      const a = read(d, EVTCHN_BIND_VIRQ, arg);
      if (!a) return -ERRNO.EFAULT;
      const { ret, port } = bindVirq(h, d, a.value.virq, a.value.vcpu);
      return ret || write(a, arg, { port });
    }
    case EVTCHNOP.bindIpi: {
      const a = read(d, EVTCHN_BIND_IPI, arg);
      if (!a) return -ERRNO.EFAULT;
      const { ret, port } = bindIpi(d, a.value.vcpu);
      return ret || write(a, arg, { port });
    }
    case EVTCHNOP.bindPirq: {
      const a = read(d, EVTCHN_BIND_PIRQ, arg);
      if (!a) return -ERRNO.EFAULT;
      const { ret, port } = bindPirq(h, d, a.value.pirq, a.value.flags);
      return ret || write(a, arg, { port });
    }
    case EVTCHNOP.close: {
      const a = read(d, EVTCHN_CLOSE, arg);
      return a ? closePort(h, d, a.value.port) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.send: {
      const a = read(d, EVTCHN_SEND, arg);
      return a ? send(h, d, a.value.port) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.status:
      return statusOp(h, d, arg);
    case EVTCHNOP.bindVcpu: {
      const a = read(d, EVTCHN_BIND_VCPU, arg);
      return a ? bindVcpu(d, a.value.port, a.value.vcpu) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.unmask: {
      const a = read(d, EVTCHN_UNMASK, arg);
      return a ? unmask(h, d, a.value.port) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.reset: {
      const a = read(d, EVTCHN_RESET, arg);
      return a ? reset(h, d, a.value.dom) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.initControl: {
      const a = read(d, EVTCHN_INIT_CONTROL, arg);
      if (!a) return -ERRNO.EFAULT;
      const ret = initControl(d, a.value.vcpu, a.value.control_gfn, a.value.offset);
      return ret || write(a, arg, { link_bits: d.fifo!.linkBits });
    }
    case EVTCHNOP.expandArray: {
      const a = read(d, EVTCHN_EXPAND_ARRAY, arg);
      return a ? expandArray(d, a.value.array_gfn, (port) => setPending(h, d, port)) : -ERRNO.EFAULT;
    }
    case EVTCHNOP.setPriority: {
      const a = read(d, EVTCHN_SET_PRIORITY, arg);
      if (!a) return -ERRNO.EFAULT;
      return d.ports.isValid(a.value.port) ? setPriority(d, a.value.port, a.value.priority) : -ERRNO.EINVAL;
    }
    default:
      return -ERRNO.ENOSYS;
  }
}

/** Only the union member that the state uses is written. */
function statusOp(h: Host, d: Domain, arg: Argument): number {
  const a = read(d, EVTCHN_STATUS, arg);
  if (!a) return -ERRNO.EFAULT;
  const s = status(h, d, a.value.dom, a.value.port);
  if (s.ret) return s.ret;
  const common = { status: s.status, vcpu: s.vcpu };
  switch (s.status) {
    case EVTCHNSTAT.unbound:
      return write(a, arg, { ...common, 'u.unbound.dom': s.peer });
    case EVTCHNSTAT.interdomain:
      return write(a, arg, { ...common, 'u.interdomain.dom': s.peer, 'u.interdomain.port': s.peerPort });
    case EVTCHNSTAT.pirq:
      return write(a, arg, { ...common, 'u.pirq': s.peer });
    case EVTCHNSTAT.virq:
      return write(a, arg, { ...common, 'u.virq': s.peer });
    default:
      return write(a, arg, common);
  }
}
