import { whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

/** Device Serial Number, PCIe 5.0 §7.9.3. */
export const DSN: Capability = {
  id: 0x0003,
  extended: true,
  name: 'dsn',
  sizeBytes: () => 12,
  registers: () => [whole('dsn.low', 4, 4, 'ro'), whole('dsn.high', 8, 4, 'ro')],
};
