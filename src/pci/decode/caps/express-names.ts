/** Device/Port Type of the PCI Express Capabilities Register. PCIe 5.0 §7.5.3.2. */
export const PortType = {
  endpoint: 0,
  legacyEndpoint: 1,
  rootPort: 4,
  upstreamPort: 5,
  downstreamPort: 6,
  pcieToPciBridge: 7,
  pciToPcieBridge: 8,
  rootComplexEndpoint: 9,
  rootComplexEventCollector: 10,
} as const;

export const LATENCY_L0S = ['<64ns', '<128ns', '<256ns', '<512ns', '<1us', '<2us', '<4us', 'unlimited'];
export const LATENCY_L1 = ['<1us', '<2us', '<4us', '<8us', '<16us', '<32us', '<64us', 'unlimited'];

/** Current and Max Link Speed. PCIe 5.0 §7.5.3.6, 6.0 adds 64 GT/s. */
export const LINK_SPEED = [undefined, '2.5GT/s', '5GT/s', '8GT/s', '16GT/s', '32GT/s', '64GT/s'];

export const ASPM_SUPPORT = ['not supported', 'L0s', 'L1', 'L0s L1'];
export const ASPM_CONTROL = ['Disabled', 'L0s Enabled', 'L1 Enabled', 'L0s L1 Enabled'];
export const INDICATOR = ['Unknown', 'On', 'Blink', 'Off'];

/** Completion Timeout Ranges Supported and Value. PCIe 5.0 §7.5.3.15 and §7.5.3.16. */
export const TIMEOUT_RANGES: (string | undefined)[] = [];
TIMEOUT_RANGES[0] = 'Not Supported';
for (const ranges of ['A', 'B', 'AB', 'BC', 'ABC', 'BCD', 'ABCD'])
  TIMEOUT_RANGES[[...ranges].reduce((code, letter) => code | (1 << 'ABCD'.indexOf(letter)), 0)] = `Range ${ranges}`;
export const TIMEOUT_VALUE = [
  '50us to 50ms',
  '50us to 100us',
  '1ms to 10ms',
  undefined,
  undefined,
  '16ms to 55ms',
  '65ms to 210ms',
  undefined,
  undefined,
  '260ms to 900ms',
  '1s to 3.5s',
  undefined,
  undefined,
  '4s to 13s',
  '17s to 64s',
];

export const OBFF_SUPPORT = ['Not Supported', 'Via message', 'Via WAKE#', 'Via message/WAKE#'];
export const OBFF_CONTROL = ['Disabled', 'Via message A', 'Via message B', 'Via WAKE#'];
export const EMERGENCY_POWER = ['Not Supported', 'Dev Specific', 'Form Factor Dev Specific', 'Reserved'];
export const LN_SYSTEM_CLS = ['Not Supported', '64byte cachelines', '128byte cachelines', 'Reserved'];
export const TPH_COMPLETER = ['TPHComp- ExtTPHComp-', 'TPHComp+ ExtTPHComp-', '', 'TPHComp+ ExtTPHComp+'];

export const DE_EMPHASIS = ['-6dB', '-3.5dB'];
export const TRANSMIT_MARGIN = [
  'Normal Operating Range',
  '800-1200mV(full-swing)/400-700mV(half-swing)',
  ...new Array<string>(4).fill('200-400mV(full-swing)/100-200mV(half-swing)'),
];
/** De-emphasis and preshoot in dB by preset, P0 … P9 in the order that lspci knows them. */
export const COMPLIANCE_PRESET = [
  ['-6', '0'],
  ['-3.5', '0'],
  ['-4.4', '0'],
  ['-2.5', '0'],
  ['0', '0'],
  ['0', '1.9'],
  ['0', '2.5'],
  ['-6.0', '3.5'],
  ['-3.5', '3.5'],
  ['0', '3.5'],
].map(([deEmphasis, preshoot]) => `${deEmphasis}dB de-emphasis, ${preshoot}dB preshoot`);
export const CROSSLINK_RESOLUTION = ['unsupported', 'Upstream Port', 'Downstream Port', 'incomplete'];
export const DOWNSTREAM_COMPONENT = [
  'Link Down - Not Determined',
  'Link Down - Not Present',
  'Link Down - Present',
  undefined,
  'Link Up - Present',
  'Link Up - Present and DRS Received',
];

/** Supported Link Speeds Vector (bits 7:1), named by its highest bit as PCIe 5.0 §8.2.1 forbids gaps. */
export function supportedSpeeds(vector: number): string {
  if (vector & 0x60) return 'RsvdP';
  const highest = 31 - Math.clz32(vector & 0x1f);
  return highest < 0 ? 'Unknown' : highest === 0 ? '2.5GT/s' : `2.5-${LINK_SPEED[highest + 1]}`;
}

/**
 * Slot Power Limit: value times 1, 0.1, 0.01 or 0.001 W; from F0h on with scale 0, 250 W in steps of 25.
 * PCIe 5.0 §7.5.3.9. Printed with six significant digits.
 */
export function powerLimit(value: number, scale: number): string {
  if (scale === 0 && value === 0xff) return '>600W';
  const watts = scale === 0 && value >= 0xf0 ? 250 + 25 * (value - 0xf0) : value / 10 ** scale;
  return `${Number(watts.toPrecision(6))}W`;
}
