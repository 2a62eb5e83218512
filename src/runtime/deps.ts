import type { Quotas } from '../core/quotas.ts';
import type { Subjects } from '../core/subjects.ts';
import type { PriceEntry } from '../policy/pricing.ts';
import type { Bus } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Models } from '../ports/model.ts';
import type { Signatures } from '../ports/signing.ts';
import type { Log, Telemetry } from '../ports/telemetry.ts';
import type { ToolSource } from '../ports/tools.ts';
import type { Validator } from '../ports/validator.ts';
import type { Watchdog } from '../ports/watchdog.ts';
import type { Agents } from './agents.ts';
import type { AnswerCache } from './answer-cache.ts';
import type { CostHistory } from './cost-history.ts';
import type { FaultPoints } from './fault-points.ts';
import type { Journal } from './journal.ts';
import type { Lanes } from './lanes.ts';
import type { LedgerLog } from './ledger-log.ts';
import type { Policies } from './policies.ts';
import type { NodeSettings } from './settings.ts';
import type { Switches } from './switches.ts';
import type { ToolCache } from './tool-cache.ts';

/** Everything a supervisor node works with; made once by the composition root. */
export interface NodeDeps {
  /** Name of the node: unique among those that run at one time. */
  node: string;
  /** Name of the machine, for those who look for the node. */
  host?: string;
  bus: Bus;
  journal: Journal;
  subjects: Subjects;
  clock: Clock;
  ids: Ids;
  log: Log;
  /** Null: nobody asked for traces or figures. */
  telemetry: Telemetry | null;
  models: Models;
  tools: ToolSource;
  validator: Validator;
  signatures: Signatures;
  lanes: Lanes;
  /** The agents of the cluster; `startNode` starts it and stops it. */
  agents: Agents;
  /** Kill switches; started and stopped like the agents. */
  switches: Switches;
  /** Budgets, rates, caps and breakers of the cluster; started and stopped like the agents. */
  ledger: LedgerLog;
  /** How much of them there is, now. */
  quotas: () => Quotas;
  /** What a model costs now; null for one that costs nothing. Throws AppError `unknown_price`. */
  price: (model: string) => PriceEntry | null;
  /** What calls may be made; started and stopped like the agents. */
  policies: Policies;
  /** What agents answered that may fall back on it. */
  answers: AnswerCache;
  /** Results of tools that answer equal calls. */
  toolResults: ToolCache;
  /** What runs of each agent usually cost. */
  costs: CostHistory;
  faults: FaultPoints;
  settings: NodeSettings;
  /** Told what each run does; stopped with the node. */
  watchdog: Watchdog;
}
