import { MAX_DATA_BYTES, MAX_DMA_MAPS, ProtocolError } from './protocol.ts';

/** What a client said of itself, defaults filled in. */
export interface ClientCapabilities {
  maxDataXferSize: number;
  maxDmaMaps: number;
  writeMultiple: boolean;
}

const MAX_MSG_FDS = 16; // QEMU refuses a server that says more
const PAGE = 4096;

/**
 * Answers VERSION: the same major number, minor 0, capabilities no wider than the client's.
 * @throws ProtocolError if the client speaks another major version or its text is none
 */
export function negotiate(payload: Uint8Array): { client: ClientCapabilities; reply: Uint8Array } {
  if (payload.length < 4) throw new ProtocolError('a VERSION message without a version');
  const major = payload[0] | (payload[1] << 8);
  if (major !== 0) throw new ProtocolError(`protocol version ${major}, where this is version 0`);
  const said = capabilities(payload.subarray(4));
  const client = {
    maxDataXferSize: wholeNumber(said, 'max_data_xfer_size', MAX_DATA_BYTES),
    maxDmaMaps: wholeNumber(said, 'max_dma_maps', MAX_DMA_MAPS),
    writeMultiple: said['write_multiple'] !== undefined && said['write_multiple'] === true,
  };
  const pgsizes = wholeNumber(said, 'pgsizes', PAGE);
  const answer = {
    capabilities: {
      max_msg_fds: Math.min(MAX_MSG_FDS, wholeNumber(said, 'max_msg_fds', MAX_MSG_FDS)),
      max_data_xfer_size: Math.min(MAX_DATA_BYTES, client.maxDataXferSize),
      pgsizes: pgsizes % (2 * PAGE) >= PAGE ? PAGE : pgsizes,
      max_dma_maps: Math.min(MAX_DMA_MAPS, client.maxDmaMaps),
      ...(client.writeMultiple && { write_multiple: true }),
    },
  };
  // QEMU takes no reply that is longer than its request of some 200 bytes
  const text = new TextEncoder().encode(`${JSON.stringify(answer)}\0`);
  const reply = new Uint8Array(4 + text.length);
  reply.set(text, 4);
  return { client, reply };
}

/** The object `capabilities` of the client's JSON; nothing is said if there is no text. */
function capabilities(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length === 0) return {};
  if (bytes[bytes.length - 1] !== 0) throw new ProtocolError('a VERSION text that does not end in NUL');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, -1)));
  } catch {
    throw new ProtocolError('a VERSION text that is no JSON');
  }
  const inner = isObject(value) ? (value['capabilities'] ?? {}) : undefined;
  if (!isObject(inner)) throw new ProtocolError('a VERSION text without an object of capabilities');
  return inner;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wholeNumber(said: Record<string, unknown>, name: string, otherwise: number): number {
  const value = said[name] ?? otherwise;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new ProtocolError(`capability ${name} is no whole number`);
  return value;
}
