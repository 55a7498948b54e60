/**
 * A toy driver that knows PCI and MSI-X and nothing of pirqlab: it asks for accesses, somebody carries them out. The same
 * code runs in front of a fake device here and of a real one elsewhere.
 */
export interface Device {
  readConfig(offset: number, width: 1 | 2 | 4): number;
  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void;
  readBar(bar: number, offset: number, width: 1 | 2 | 4): number;
  writeBar(bar: number, offset: number, width: 1 | 2 | 4, value: number): void;
}

const COMMAND = 0x04;
const MSIX = 0x11;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

export class ToyDriver {
  readonly #device: Device;
  readonly #cap: number;

  constructor(device: Device) {
    this.#device = device;
    this.#cap = findCapability(device, MSIX);
    if (this.#cap === 0) throw new Error('the device has no MSI-X');
  }

  get vectors(): number {
    return (this.#device.readConfig(this.#cap + 2, 2) & 0x7ff) + 1;
  }

  /** Programs every vector's message with the function masked, then lets them through. */
  enable(address: number, dataOf: (vector: number) => number): void {
    const device = this.#device;
    const control = device.readConfig(this.#cap + 2, 2) & ~(ENABLE | FUNCTION_MASK);
    device.writeConfig(COMMAND, 2, device.readConfig(COMMAND, 2) | 0x0406);
    device.writeConfig(this.#cap + 2, 2, control | ENABLE | FUNCTION_MASK);
    for (let vector = 0; vector < this.vectors; vector++) {
      this.#writeEntry(vector, 0, address);
      this.#writeEntry(vector, 4, 0);
      this.#writeEntry(vector, 8, dataOf(vector));
      this.#writeEntry(vector, 12, 0);
    }
    device.writeConfig(this.#cap + 2, 2, control | ENABLE);
  }

  mask(vector: number, masked: boolean): void {
    this.#writeEntry(vector, 12, masked ? 1 : 0);
  }

  isPending(vector: number): boolean {
    const pba = this.#device.readConfig(this.#cap + 8, 4);
    const word = this.#device.readBar(pba & 7, (pba & ~7) + 4 * (vector >> 5), 4);
    return ((word >>> (vector & 31)) & 1) === 1;
  }

  disable(): void {
    const control = this.#device.readConfig(this.#cap + 2, 2);
    this.#device.writeConfig(this.#cap + 2, 2, control & ~ENABLE);
  }

  #writeEntry(vector: number, at: number, value: number): void {
    const table = this.#device.readConfig(this.#cap + 4, 4);
    this.#device.writeBar(table & 7, (table & ~7) + 16 * vector + at, 4, value);
  }
}

function findCapability(device: Device, wanted: number): number {
  let at = device.readConfig(0x34, 1) & 0xfc;
  for (let left = 48; at !== 0 && left > 0; left--) {
    if (device.readConfig(at, 1) === wanted) return at;
    at = device.readConfig(at + 1, 1) & 0xfc;
  }
  return 0;
}
