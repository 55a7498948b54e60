/**
 * The real hypervisor would have died here: a BUG, a wild pointer, an endless loop. Thrown by a call whose caller put
 * Xen into a state it does not survive; the process, and any other {@link import('./hypervisor.ts').Hypervisor}, lives on.
 */
export class HostFault extends Error {
  override name = 'HostFault';
  /** What kind of death. */
  readonly mechanism: 'bug' | 'wild-pointer' | 'endless-loop';
  /** Where in Xen and why, in words. */
  readonly reason: string;

  constructor(mechanism: HostFault['mechanism'], reason: string) {
    super(`host fault (${mechanism}): ${reason}`);
    this.mechanism = mechanism;
    this.reason = reason;
  }
}
