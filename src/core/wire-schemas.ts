import { z } from 'zod';
import { ActivationBody } from './activation-wire.ts';
import { AgentChoice, AgentDefinition, AgentRecord } from './agent.ts';
import {
  ApprovalNotice,
  ApprovalRequest,
  ApproverRecord,
  DecisionPayload,
  OpenPage,
  OpenQuery,
  RefusedDecision,
} from './approval-wire.ts';
import { Beat } from './beat-wire.ts';
import { Decision } from './decision.ts';
import { DecisionTrace, TracePage } from './decision-trace.ts';
import { API_VERBS, ASK_VERBS } from './door-wire.ts';
import { ErrorInfo } from './errors.ts';
import { HumanItem, HumanWord, PersonAnswer } from './human-wire.ts';
import { IDEM_VERBS } from './idem-wire.ts';
import { INBOX_KINDS } from './inbox-wire.ts';
import { ActorState } from './inspect-wire.ts';
import { JournalEntry } from './journal-entry.ts';
import { LedgerEntry, LedgerSnapshot, SnapshotHead } from './ledger-wire.ts';
import { Plan } from './plan.ts';
import { Policy, PolicyProbe, PolicyRecord } from './policy.ts';
import { Quotas } from './quotas.ts';
import { RunResult } from './result.ts';
import { ResultRequest } from './result-wire.ts';
import { StatusEvent } from './status.ts';
import { Task } from './task.ts';
import { ToolDefinition } from './tool.ts';
import { CallBody, ReplyBody } from './tool-wire.ts';

/** Every message and stored record by name, as whoever writes it must form it; version 1 of each. */
const WIRE_SCHEMAS: Record<string, z.ZodType> = {
  task: Task,
  plan: Plan,
  decision: Decision,
  agent: AgentDefinition,
  'agent-record': AgentRecord,
  'agent-choice': AgentChoice,
  policy: Policy,
  'policy-record': PolicyRecord,
  'policy-call': PolicyProbe,
  tool: ToolDefinition,
  status: StatusEvent,
  result: RunResult,
  trace: DecisionTrace,
  'trace-page': TracePage,
  error: ErrorInfo,
  'journal-entry': JournalEntry,
  activation: ActivationBody,
  ledger: LedgerEntry,
  'ledger-snapshot': LedgerSnapshot,
  'ledger-snapshot-head': SnapshotHead,
  quotas: Quotas,
  'approval.request': ApprovalRequest,
  'approval.decision': DecisionPayload,
  'approval.notice': ApprovalNotice,
  'approval.open': OpenQuery,
  'approval.open-page': OpenPage,
  approver: ApproverRecord,
  'audit.decision': RefusedDecision,
  'human.item': HumanItem,
  'human.word': HumanWord,
  'human.answer': PersonAnswer,
  'insp.state': ActorState,
  'tool.call': CallBody,
  'tool.reply': ReplyBody,
  'tool.beat': Beat,
  'tool.result': ResultRequest,
  ...prefixed('idem', IDEM_VERBS),
  ...prefixed('in', INBOX_KINDS),
  ...prefixed('ask', ASK_VERBS),
  ...prefixed('api', API_VERBS),
};

function prefixed(prefix: string, schemas: Record<string, z.ZodType>): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [`${prefix}.${name}`, schema]));
}

/** JSON Schema (draft 2020-12) of each, by file name below `schemas/`. What JSON Schema cannot say is left open. */
export function jsonSchemas(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(WIRE_SCHEMAS).map(([name, schema]) => [
      `${name}.v1.json`,
      { title: `proctor ${name}, version 1`, ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) },
    ]),
  );
}
