/**
 * Programming interfaces by class code (base class << 16 | sub-class << 8 | interface).
 * PCI Code and ID Assignment 1.11; names as the public PCI ID repository spells them.
 */
const PROG_IF: Record<number, string> = {
  65792: 'ISA Compatibility mode-only controller',
  65797: 'PCI native mode-only controller',
  65802: 'ISA Compatibility mode controller, supports both channels switched to PCI native mode',
  65807: 'PCI native mode controller, supports both channels switched to ISA compatibility mode',
  65920: 'ISA Compatibility mode-only controller, supports bus mastering',
  65925: 'PCI native mode-only controller, supports bus mastering',
  65930:
    'ISA Compatibility mode controller, supports both channels switched to PCI native mode, supports bus mastering',
  65935:
    'PCI native mode controller, supports both channels switched to ISA compatibility mode, supports bus mastering',
  66848: 'ADMA single stepping',
  66864: 'ADMA continuous operation',
  67072: 'Vendor specific',
  67073: 'AHCI 1.0',
  67074: 'Serial Storage Bus',
  67329: 'Serial Storage Bus',
  67585: 'NVMHCI',
  67586: 'NVM Express',
  67840: 'Vendor specific',
  67841: 'UFSHCI',
  196608: 'VGA controller',
  196609: '8514 controller',
  328192: 'CXL Memory Device - vendor specific',
  328208: 'CXL Memory Device (CXL 2.x)',
  394240: 'Normal decode',
  394241: 'Subtractive decode',
  395264: 'Transparent mode',
  395265: 'Endpoint mode',
  395584: 'Primary bus towards host CPU',
  395648: 'Secondary bus towards host CPU',
  458752: '8250',
  458753: '16450',
  458754: '16550',
  458755: '16650',
  458756: '16750',
  458757: '16850',
  458758: '16950',
  459008: 'SPP',
  459009: 'BiDir',
  459010: 'ECP',
  459011: 'IEEE1284',
  459262: 'IEEE1284 Target',
  459520: 'Generic',
  459521: 'Hayes/16450',
  459522: 'Hayes/16550',
  459523: 'Hayes/16650',
  459524: 'Hayes/16750',
  524288: '8259',
  524289: 'ISA PIC',
  524290: 'EISA PIC',
  524304: 'IO-APIC',
  524320: 'IO(X)-APIC',
  524544: '8237',
  524545: 'ISA DMA',
  524546: 'EISA DMA',
  524800: '8254',
  524801: 'ISA Timer',
  524802: 'EISA Timers',
  524803: 'HPET',
  525056: 'Generic',
  525057: 'ISA RTC',
  563457: 'TAP Timing Card',
  590848: 'Generic',
  590864: 'Extended',
  786432: 'Generic',
  786448: 'OHCI',
  787200: 'UHCI',
  787216: 'OHCI',
  787232: 'EHCI',
  787248: 'XHCI',
  787264: 'USB4 Host Interface',
  787328: 'Unspecified',
  787454: 'USB Device',
  788224: 'SMIC',
  788225: 'KCS',
  788226: 'BT (Block Transfer)',
};

const IDE = 0x0101;
/** What the bits of an IDE interface without a name of its own say: master, and mode and whether it is fixed by channel. */
const IDE_BITS: [number, string][] = [
  [0x80, 'Master'],
  [0x08, 'SecP'],
  [0x04, 'SecO'],
  [0x02, 'PriP'],
  [0x01, 'PriO'],
];

/** Name of a programming interface, if that has one. */
export function progIfName(deviceClass: number, progIf: number): string | undefined {
  const name = PROG_IF[(deviceClass << 8) | progIf];
  if (name || deviceClass !== IDE || progIf & 0x70) return name;
  return IDE_BITS.filter(([bit]) => progIf & bit)
    .map(([, word]) => word)
    .join(' ');
}
