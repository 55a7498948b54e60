export { builtinDump, listBuiltinDumps } from './builtin.ts';
