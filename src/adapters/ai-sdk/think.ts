import { NO_USAGE, type Usage } from '../../core/decision.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import type { ThinkInput, ThinkReply } from '../../ports/model.ts';
import { type AskOptions, ask, EndedEarly, type ModelReply } from './ask.ts';
import { decisionOf } from './decision.ts';
import { failureOf } from './failure.ts';
import type { AiModelsOptions } from './options.ts';
import { type Prompt, promptFor } from './prompt.ts';
import { targetOf } from './target.ts';
import { ownTools } from './tools.ts';
import { MAX_WINDOW_CHARS, newerHalf } from './window.ts';

/**
 * One thought: the prompt, one request, the decision. A prompt that is too long for the model is asked once more with
 * half of its window; every other failure goes to the run, which decides what to repeat.
 */
export async function think(input: ThinkInput, options: AiModelsOptions): Promise<ThinkReply> {
  const { agent } = input;
  const target = targetOf(agent, options.env);
  const asking: AskOptions = {
    target,
    maxOutputTokens: input.maxOutputTokens,
    temperature: agent.model_options?.temperature,
    stream: agent.model_options?.stream ?? false,
    signal: input.signal,
    fetch: options.fetch ?? globalThis.fetch,
  };
  const [definitions, steps] = await Promise.all([input.tools(), input.window()]);
  const names = ownTools(definitions).map(({ name }) => name);
  if (input.phase === 'planning' && names.length === 0) {
    const reasoning = 'There are no tools, so there is nothing to plan.';
    return { decision: { action: 'think', reasoning }, usage: NO_USAGE, model: target.modelId };
  }

  // A price may have ended since the agent was loaded: then it is not asked.
  options.cost(agent.model, NO_USAGE, options.clock.now());
  let prompt = promptFor(input, steps, definitions);
  let reply: ModelReply;
  try {
    reply = await askOnce(prompt, asking, input, options);
  } catch (thrown) {
    if (!(thrown instanceof AppError && thrown.code === 'context_overflow' && steps.length > 0)) throw thrown;
    prompt = promptFor(input, newerHalf(steps), definitions, MAX_WINDOW_CHARS / 2);
    reply = await askOnce(prompt, asking, input, options);
  }
  const usage = usageOf(reply.usage, prompt, reply, input, options);
  try {
    return { decision: decisionOf(reply, input, names), usage, model: reply.model };
  } catch (thrown) {
    throw withUsage(toAppError(thrown, 'bad_decision'), usage);
  }
}

async function askOnce(
  prompt: Prompt,
  asking: AskOptions,
  input: ThinkInput,
  options: AiModelsOptions,
): Promise<ModelReply> {
  const unwanted = asking.signal.aborted;
  try {
    return await ask(prompt, asking);
  } catch (thrown) {
    const error = failureOf(thrown, { target: asking.target, now: options.clock.now(), signal: asking.signal });
    const told = thrown instanceof EndedEarly ? thrown.usage : undefined;
    // The provider may have worked on, and charge it all.
    if (asking.signal.aborted && !unwanted) {
      const lost = { input_tokens: guess([prompt.system, prompt.messages]), output_tokens: asking.maxOutputTokens };
      const cost_usd = options.cost(input.agent.model, lost, options.clock.now());
      throw withUsage(error, { ...lost, cost_usd });
    }
    if (told?.inputTokens === undefined) throw error;
    throw withUsage(error, usageOf(told, prompt, undefined, input, options));
  }
}

/** A provider that says nothing about usage is charged at a guess: what is not counted would escape every limit. */
function usageOf(
  told: ModelReply['usage'],
  prompt: Prompt,
  reply: ModelReply | undefined,
  { agent }: ThinkInput,
  { cost, clock }: AiModelsOptions,
): Usage {
  const cached = count(told.inputTokenDetails.cacheReadTokens);
  const tokens = {
    input_tokens: count(told.inputTokens) ?? guess([prompt.system, prompt.messages]),
    output_tokens: count(told.outputTokens) ?? guess([reply?.text, reply?.reasoning, reply?.calls]),
    ...(cached === undefined || cached === 0 ? {} : { cached_input_tokens: cached }),
  };
  return { ...tokens, cost_usd: cost(agent.model, tokens, clock.now()) };
}

function count(tokens: number | undefined): number | undefined {
  return tokens !== undefined && Number.isFinite(tokens) ? Math.max(0, Math.ceil(tokens)) : undefined;
}

/** About four characters a token. */
function guess(content: unknown): number {
  return Math.ceil(JSON.stringify(content).length / 4);
}

function withUsage(error: AppError, usage: Usage): AppError {
  const { code, message, retryable, retryAfterMs, field } = error;
  return new AppError(code, message, { retryable, retryAfterMs, usage, ...(field === undefined ? {} : { field }) });
}
