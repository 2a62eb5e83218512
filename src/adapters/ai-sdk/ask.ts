import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  type FinishReason,
  generateText,
  InvalidResponseDataError,
  type LanguageModel,
  type LanguageModelUsage,
  streamText,
  type ToolSet,
  type TypedToolCall,
  wrapLanguageModel,
} from 'ai';
import { boundedFetch, type Fetch } from './fetch.ts';
import type { Prompt } from './prompt.ts';
import type { Target } from './target.ts';

/** One request to a provider through the AI SDK: exactly one, whatever comes of it; the run does the retries. */

export interface ModelCall {
  name: string;
  input: unknown;
  /** The arguments are no JSON: `input` is their text. */
  broken: boolean;
}

export interface ModelReply {
  text: string;
  reasoning: string;
  calls: ModelCall[];
  finish: FinishReason;
  rawFinish: string | undefined;
  usage: LanguageModelUsage;
  /** The model that answered, as the provider names it. */
  model: string;
}

export interface AskOptions {
  target: Target;
  maxOutputTokens: number;
  temperature: number | undefined;
  stream: boolean;
  signal: AbortSignal;
  fetch: Fetch;
}

export const ENDED_EARLY = 'ended its stream before the reply was complete';

/** A stream came to its end without saying that the reply is complete; what it said of usage, if anything. */
export class EndedEarly extends Error {
  readonly usage: LanguageModelUsage | undefined;

  constructor(usage: LanguageModelUsage | undefined) {
    super(ENDED_EARLY);
    this.usage = usage;
  }
}

// The SDK would write its remarks on settings to the console, which belongs to whoever runs this process.
globalThis.AI_SDK_LOG_WARNINGS ??= false;

/** Throws whatever the SDK throws; `failureOf` names it. */
export async function ask(prompt: Prompt, options: AskOptions): Promise<ModelReply> {
  const { temperature, signal: abortSignal, maxOutputTokens } = options;
  const { forced, ...content } = prompt;
  const model = languageModel(options);
  const request = {
    ...content,
    model: forced === undefined ? model : forcing(model, forced),
    maxOutputTokens,
    abortSignal,
    maxRetries: 0,
    ...(temperature === undefined ? {} : { temperature }),
  };
  return options.stream ? streamed(request) : whole(request);
}

type Request = Omit<Prompt, 'forced'> & {
  model: LanguageModel;
  maxOutputTokens: number;
  abortSignal: AbortSignal;
  maxRetries: number;
  temperature?: number;
};

async function whole(request: Request): Promise<ModelReply> {
  const result = await generateText(request);
  return {
    text: result.text,
    reasoning: result.reasoningText ?? '',
    calls: result.toolCalls.map(callOf),
    finish: result.finishReason,
    rawFinish: result.rawFinishReason,
    usage: result.usage,
    model: result.response.modelId,
  };
}

async function streamed(request: Request): Promise<ModelReply> {
  // Errors come as parts of the stream; without a handler the SDK would print them.
  const { fullStream } = streamText({ ...request, onError: () => undefined });
  const reply = { text: '', reasoning: '', calls: [] as ModelCall[] };
  let endedEarly = false;
  let failure: unknown;
  for await (const part of fullStream) {
    switch (part.type) {
      case 'text-delta':
        reply.text += part.text;
        break;
      case 'reasoning-delta':
        reply.reasoning += part.text;
        break;
      case 'tool-call':
        reply.calls.push(callOf(part));
        break;
      case 'error':
        if (saysEndedEarly(part.error)) endedEarly = true;
        else failure ??= part.error;
        break;
      case 'finish-step':
        if (failure !== undefined) throw failure;
        if (endedEarly || part.rawFinishReason === undefined) throw new EndedEarly(part.usage);
        return {
          ...reply,
          finish: part.finishReason,
          rawFinish: part.rawFinishReason,
          usage: part.usage,
          model: part.response.modelId,
        };
    }
  }
  throw failure ?? new EndedEarly(undefined);
}

/** So says the compatible provider; the others leave out the reason for which the model finished. */
function saysEndedEarly(error: unknown): boolean {
  return InvalidResponseDataError.isInstance(error) && error.data === undefined;
}

function callOf(call: TypedToolCall<ToolSet>): ModelCall {
  const { toolName: name, input } = call;
  return { name, input, broken: call.dynamic === true && call.invalid === true && typeof input === 'string' };
}

type SpecificModel = ReturnType<ReturnType<typeof createOpenAI>['chat']>;

/**
 * A model that is told which tool to call. Were this said to the SDK, it would throw away a reply that calls another,
 * and what that reply used with it.
 */
function forcing(model: SpecificModel, toolName: string): SpecificModel {
  const toolChoice = { type: 'tool' as const, toolName };
  const middleware = { specificationVersion: 'v3' as const, transformParams };
  async function transformParams({ params }: { params: Parameters<SpecificModel['doGenerate']>[0] }) {
    return { ...params, toolChoice };
  }
  return wrapLanguageModel({ model, middleware });
}

/**
 * Keys and addresses are always given: the SDK would look for absent ones in the process's environment. OpenAI is
 * spoken to through chat completions, which its compatible servers and proxies speak too.
 */
function languageModel({ target, fetch: given }: AskOptions): SpecificModel {
  const { provider, modelId, baseUrl: baseURL, key } = target;
  const fetch = boundedFetch(given);
  switch (provider) {
    case 'openai':
      return createOpenAI({ baseURL, apiKey: key?.value ?? '', fetch }).chat(modelId);
    case 'anthropic':
      return createAnthropic({ baseURL, apiKey: key?.value ?? '', fetch })(modelId);
    case 'compatible': {
      const settings = { name: provider, baseURL, fetch, includeUsage: true };
      return createOpenAICompatible(key === undefined ? settings : { ...settings, apiKey: key.value })(modelId);
    }
  }
}
