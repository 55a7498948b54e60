/** Enables MSI-X on a fake NVMe controller, fires a vector and prints the message. */
import { Session } from 'pirqlab';
import { ToyDriver } from './toy-driver.ts';

export function fireVector(print: (line: string) => void): void {
  const session = new Session({ devices: ['nvme:queues=4,msix=5'] });
  const driver = new ToyDriver(session.function('00:04.0'));
  driver.enable(0xfee01000, (vector) => 0x4040 + vector);
  session.raise('00:04.0', 1);
  for (const effect of session.takeEffects())
    if (effect.kind === 'message')
      print(`vector ${effect.vector}: address 0x${effect.addressLo.toString(16)} data 0x${effect.data.toString(16)}`);
  session.close();
}
