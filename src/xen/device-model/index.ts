export { BusHostFunction } from './bus-host-function.ts';
export { type Context, type MapPirqMsi, type MsiBinding, NO_PIRQ, type Toolstack } from './calls.ts';
export { PassthroughDevice, type PassthroughOptions } from './device.ts';
export type { HostFunction, HostRegion } from './host.ts';
export type { Group, Layout, MsiLayout, MsixLayout, Register } from './layout.ts';
export { PassthroughMsi } from './msi.ts';
export { type MsixTables, PassthroughMsix } from './msix.ts';
export {
  DEVICE_MODELS,
  type DeviceModelProfile,
  deviceModel,
  SWITCHES,
  type Switches,
  type SwitchInfo,
  withSwitches,
} from './profiles.ts';
export { type Hypercall, HypercallToolstack, type ToolstackOptions } from './toolstack.ts';
