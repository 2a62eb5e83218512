import { z } from 'zod';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import type { Plan } from '../../src/core/plan.ts';
import type { Model, WindowStep } from '../../src/ports/model.ts';

/**
 * The agents of the drill. `plan` follows plans; `script` follows the list of moves in its task: a tool's name
 * (`@` and milliseconds: a slow call), `ask` or `delegate`. Each decision says in its reasoning which move it makes, so the next one follows from the last that
 * can be seen, whether it worked, and nothing else.
 */

const limits = { steps: 10_000, wall_ms: 86_400_000, tool_calls: 10_000, failing_steps: 1_000 };
/** Moves fail until they work: that is the drill, no loop. */
const loops = { detect: false };
const common = { tools: ['*'], limits, loops, retry_backoff_ms: 25 };

export const AGENTS: AgentDefinition[] = [
  AgentDefinition.parse({ name: 'plan', model: 'plan', ...common }),
  AgentDefinition.parse({ name: 'script', model: 'script', delegates_to: ['plan'], ...common }),
];

const Script = z.object({ moves: z.array(z.string()) });

/** What `delegate` gives to the other agent. */
export const CHILD_PLAN: Plan = {
  steps: [
    { id: 'a', tool: 'remote_idem', args: { label: 'child-a' }, after: [] },
    { id: 'b', tool: 'local_idem', args: { label: 'child-b' }, after: ['a'] },
  ],
};

export const scriptModel: Model = {
  async think(input) {
    const { moves } = Script.parse(input.task.input);
    const steps = await input.window();
    const { move: i, result } = nextMove(steps, input.step);
    const reasoning = `#${i}`;
    const move = moves[i];
    if (move === undefined) return scripted({ action: 'final_answer', reasoning, answer: { moves: i, last: result } });
    if (move === 'ask') return scripted({ action: 'ask_human', reasoning, question: `move ${i}: go on?` });
    if (move === 'delegate') {
      return scripted({ action: 'delegate', reasoning, agent: 'plan', input: 'child', plan: CHILD_PLAN });
    }
    const [tool = '', wait] = move.split('@');
    const args = { label: `move-${i}`, ...(wait === undefined ? {} : { wait: Number(wait) }) };
    return scripted({ action: 'tool_call', reasoning, calls: [{ tool, args }] });
  },
};

function nextMove(steps: WindowStep[], step: number): { move: number; result: Json } {
  const last = steps.findLast((one) => one.decision.reasoning?.startsWith('#') === true);
  if (last === undefined) {
    if (step > 1 && steps.length === 10) throw new AppError('drill_lost', 'no move can be seen in the window any more');
    return { move: 0, result: null };
  }
  const move = Number(last.decision.reasoning?.slice(1));
  const worked = last.observations.every((one) => one.status === 'ok');
  return { move: worked ? move + 1 : move, result: last.observations[0]?.result ?? null };
}
