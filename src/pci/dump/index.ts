export { describeBars, type ToldSize } from './bars.ts';
export { builtinDump, listBuiltinDumps } from './builtin.ts';
export {
  type CapabilityAt,
  type CapabilityWalk,
  headerLayout,
  type MsiGeometry,
  type MsixGeometry,
  msiGeometry,
  msixGeometry,
  walkCapabilities,
  walkExtendedCapabilities,
} from './capabilities.ts';
export { describeFunction, type FunctionReport, reportFunction } from './describe.ts';
export type { DumpFormat, ParsedFunction } from './function.ts';
export { type Finding, lintFunction, type Severity } from './lint/index.ts';
export { capabilityName } from './names.ts';
export { type ParseOptions, parseDump } from './parse.ts';
export { formatHexLines, formatLspciDump, type PrintedFunction, readConfigImage } from './write.ts';
