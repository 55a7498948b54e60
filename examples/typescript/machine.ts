/** A PC with two controllers: a bus scan through ports, a BAR placed and read through memory, a message seen. */
import { type MachineEvent, PcMachine } from 'pirqlab';

export function scanAndFire(print: (line: string) => void): void {
  const machine = PcMachine.of(['nvme:queues=2', 'nvme:queues=2']);
  const config = (device: number, offset: number) => {
    machine.writePort(0xcf8, 4, 0x80000000 + device * 0x800 + offset);
    return machine.readPort(0xcfc, 4);
  };
  for (let device = 0; device < 32; device++) {
    const id = config(device, 0);
    if (id !== 0xffffffff) print(`00:${device.toString(16).padStart(2, '0')}.0 ${id.toString(16)}`);
  }
  config(4, 0x10);
  machine.writePort(0xcfc, 4, 0xe0000000);
  config(4, 0x04);
  machine.writePort(0xcfc, 2, 6);
  const version = new DataView(machine.readMemory(0xe0000008, 4).buffer).getUint32(0, true);
  print(`NVMe ${version >>> 16}.${(version >>> 8) & 0xff}`);
  const events: MachineEvent[] = [];
  machine.listen((event) => events.push(event));
  machine.raise(0x20);
  print(events.map((event) => (event.kind === 'line' ? `GSI ${event.gsi} is ${event.level}` : 'message')).join());
  machine.close();
}
