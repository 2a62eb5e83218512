import { describe, expect, it } from 'vitest';
import { createActor, createMachine, fromPromise } from 'xstate';
import { FollowedRun } from '../../src/console/gateway/followed-run.ts';
import { RUN_CHART } from '../../src/console/gateway/run-chart.ts';
import { extract } from '../../src/runtime/extract-chart.ts';
import { largeMachine } from './chart/machines.ts';
import { endedRun } from './journals.ts';

describe('the edges that a run takes', () => {
  it('are found again for every step that XState reports', () => {
    const heat = fromPromise(() => new Promise<void>(() => {}));
    const machine = largeMachine().provide({ actors: { heat } });
    const { definition, edgesOf } = extract(machine);
    const known = new Set(definition.edges.map(({ id }) => id));
    const taken: string[][] = [];
    const actor = createActor(machine, {
      inspect: (event) => {
        if (event.type !== '@xstate.microstep') return;
        for (const transition of event._transitions) taken.push(edgesOf.get(transition) ?? ['unknown']);
      },
    });
    actor.start();
    for (const type of ['START', 'RESET', 'PING', 'START', 'ABORT']) actor.send({ type });
    expect(taken.filter((ids) => ids.length > 0).length).toBeGreaterThanOrEqual(5);
    expect(taken.flat().filter((id) => !known.has(id))).toEqual([]);
    expect(actor.getSnapshot().value).toBe('stopped');
  });

  it('lead from where it stood to where it stands, at every entry of a journal', async () => {
    const { journal } = await endedRun(3);
    const followed = new FollowedRun();
    let state = 'idle.accepted';
    for (const entry of journal) {
      const { via, state: now } = followed.push(entry);
      for (const id of via) {
        const edge = RUN_CHART.edges.find((one) => one.id === id);
        expect(edge, id).toBeDefined();
        if (edge?.source !== '') expect(`${state}.`.startsWith(`${edge?.source}.`), `${id} from ${state}`).toBe(true);
        if (edge?.target !== null && edge !== undefined) state = innermost(edge.target);
      }
      expect(state).toBe(now);
    }
    expect(state).toBe('completed.answered');
    await followed.updateSteps();
    expect(followed.steps.map(({ action }) => action.type)).toEqual([
      'tool_call',
      'tool_call',
      'tool_call',
      'final_answer',
    ]);
    followed.stop();
  });

  it('are named in words', () => {
    const machine = createMachine({
      initial: 'a',
      states: {
        a: { after: { 1500: 'b' }, invoke: { src: 'fetch', onDone: 'b' }, always: { guard: 'ready', target: 'b' } },
        b: {},
      },
    });
    const told = extract(machine).definition.edges.map(({ kind, event, guard }) =>
      `${kind} ${event} ${guard ?? ''}`.trim(),
    );
    expect(new Set(told)).toEqual(new Set(['after after 1.5 s', 'always  ready', 'done done: fetch']));
  });
});

/** The state that is entered with this one. */
function innermost(id: string): string {
  const node = RUN_CHART.nodes.find((one) => one.id === id);
  return node?.initial == null ? id : innermost(node.initial);
}
