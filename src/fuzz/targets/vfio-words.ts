const NAMES: Record<number, string> = {
  1: 'VERSION',
  2: 'DMA_MAP',
  3: 'DMA_UNMAP',
  4: 'DEVICE_GET_INFO',
  5: 'DEVICE_GET_REGION_INFO',
  6: 'DEVICE_GET_REGION_IO_FDS',
  7: 'DEVICE_GET_IRQ_INFO',
  8: 'DEVICE_SET_IRQS',
  9: 'REGION_READ',
  10: 'REGION_WRITE',
  11: 'DMA_READ',
  12: 'DMA_WRITE',
  13: 'DEVICE_RESET',
  15: 'REGION_WRITE_MULTI',
  16: 'DEVICE_FEATURE',
  17: 'MIG_DATA_READ',
  18: 'MIG_DATA_WRITE',
};

const IRQS = ['INTx', 'MSI', 'MSI-X', 'ERR', 'REQ'];
const SET = ['none', 'bool', 'eventfd', 'mask', 'unmask', 'trigger'];

/** A command for people: `REGION_WRITE config+0x4 of 2 bytes = 0600`. */
export function tellMessage(command: number, payload: Uint8Array): string {
  const name = NAMES[command] ?? `command ${command}`;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const hex = (value: number | bigint) => `0x${value.toString(16)}`;
  if ((command === 9 || command === 10) && payload.length >= 16) {
    const region = view.getUint32(8, true);
    const where = region === 7 ? 'config' : region < 6 ? `BAR ${region}` : region === 6 ? 'ROM' : `region ${region} `;
    const data = payload.length > 16 ? ` = ${Buffer.from(payload.subarray(16, 32)).toString('hex')}` : '';
    return `${name} ${where}+${hex(view.getBigUint64(0, true))} of ${view.getUint32(12, true)} bytes${data}`;
  }
  if (command === 8 && payload.length >= 20) {
    const [flags, index, start, count] = [4, 8, 12, 16].map((at) => view.getUint32(at, true));
    const words = SET.filter((_, bit) => flags & (1 << bit)).join('|') || hex(flags);
    return `${name} ${words} ${IRQS[index] ?? `index ${index}`} ${start} ${count}`;
  }
  if (command === 2 && payload.length >= 32)
    return `${name} ${hex(view.getBigUint64(24, true))} bytes at ${hex(view.getBigUint64(16, true))}, flags ${view.getUint32(4, true)}`;
  if (command === 3 && payload.length >= 24)
    return `${name} ${hex(view.getBigUint64(16, true))} bytes at ${hex(view.getBigUint64(8, true))}, flags ${view.getUint32(4, true)}`;
  if ((command === 5 || command === 7) && payload.length >= 12) return `${name} ${view.getUint32(8, true)}`;
  if (command === 1) return `${name} ${JSON.stringify(new TextDecoder('latin1').decode(payload.subarray(4, 84)))}`;
  return payload.length > 0 ? `${name} with ${payload.length} bytes` : name;
}
