export { type DeviceWork, MemoryPort, type VfioDevice, vfioDevice } from './device.ts';
export { FD_WORDS, type FdSockets, MOST_FDS, READABLE, WRITABLE } from './fd-sockets.ts';
export { loadFdSockets } from './load-fd-sockets.ts';
export { serveVfioUser, type VfioUserOptions, VfioUserServer } from './server.ts';
