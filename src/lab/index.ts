export { BringUp, type BroughtUp } from './bringup.ts';
export { amplestHost, type BringUpHost, type BringUpOptions } from './bringup-setup.ts';
export type { LimitName, Refusal } from './bringup-stop.ts';
export { BRINGUP_SERIES, type BringUpStop, bringUpStops } from './bringup-table.ts';
export {
  builtinDrive,
  CASE_WORKLOADS,
  type CaseConfig,
  caseConfig,
  exploreCase,
  type PreparedCase,
  prepareCase,
  runChoices,
  type StartPoint,
  sequentialChoices,
  type WorkloadName,
} from './case.ts';
export { type Exploration, type ExploreOptions, explore, goodCounts } from './explorer.ts';
export { INVARIANTS } from './invariants.ts';
export { GUEST_DOMAIN, HOST_DOMAIN, Machine, type MachineOptions, type Slot } from './machine.ts';
export { type Cell, type CellFinding, findCell, matrixConfigs } from './matrix.ts';
export { defaultRows, type MatrixRow, rowOf, type Verdict } from './scenarios/lp1657489.ts';
export { formatSchedule, parseSchedule } from './schedule.ts';
export { Session as TaskSession } from './session.ts';
export { Stepper, type TaskPlan, type TaskPosition } from './stepper.ts';
export { type Telling, tell } from './telling.ts';
export { Trace, type TraceEvent } from './trace.ts';
export type { ControllerState, World } from './world.ts';
