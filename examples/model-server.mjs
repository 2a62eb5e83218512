#!/usr/bin/env node
/**
 * A stand-in for a model provider, to try Proctor without a key: it speaks OpenAI's chat completions (whole and
 * streamed) and is no model at all. Its rules:
 *
 * - Of the tools that it is offered, and that are not Proctor's own functions, it calls the first one whose required
 *   arguments stand in the task, once; a task `{"tool": "...", "args": {...}}` says which one and with what.
 * - When there is a result, or nothing to call, it answers: with the last result, else with the task.
 * - Asked for a plan it plans that one call; asked for a review it accepts.
 *
 *   node examples/model-server.mjs [port, default 11435]
 *   COMPATIBLE_BASE_URL=http://127.0.0.1:11435/v1 proctor up     (agents with `model: compatible/stand-in`)
 */
import { createServer } from 'node:http';

const OWN = new Set(['final_answer', 'ask_human', 'delegate', 'make_plan', 'review']);
const port = Number(process.argv[2] ?? 11435);

/** What Proctor put into a message as JSON: `The task, as JSON:\n{...}`. */
function jsonIn(content) {
  try {
    return JSON.parse(content.slice(content.indexOf('\n') + 1));
  } catch {
    return content;
  }
}

/** The task as an object: what it says in words is its `text`. */
function taskOf(messages) {
  const { input } = Object(jsonIn(messages.find((message) => message.role === 'user')?.content ?? ''));
  if (typeof input !== 'string') return Object(input ?? {});
  try {
    return Object(JSON.parse(input));
  } catch {
    return { text: input };
  }
}

/** Arguments for a tool from the task's fields of the same names; null when a required one is missing. */
function argumentsFor({ parameters = {} }, task) {
  if (typeof task.args === 'object' && task.args !== null) return task.args;
  const names = Object.keys(parameters.properties ?? {});
  const args = Object.fromEntries(names.filter((name) => name in task).map((name) => [name, task[name]]));
  const complete = (parameters.required ?? []).every((name) => name in args);
  return complete && Object.keys(args).length > 0 ? args : null;
}

function firstCall(functions, task) {
  for (const one of functions) {
    if (OWN.has(one.name) || (task.tool !== undefined && task.tool !== one.name)) continue;
    const args = argumentsFor(one, task);
    if (args !== null) return { name: one.name, args };
  }
  return null;
}

/** What it says: `{text}` or `{call: {name, args}}`. */
function decide({ messages = [], tools = [] }) {
  const task = taskOf(messages);
  const functions = tools.map((tool) => tool.function);
  const last = messages.at(-1)?.content ?? '';
  if (functions.some(({ name }) => name === 'review')) return { call: { name: 'review', args: { verdict: 'accept' } } };
  if (functions.some(({ name }) => name === 'make_plan')) {
    const call = firstCall(jsonIn(last), task) ?? { name: jsonIn(last)[0]?.name ?? 'none', args: {} };
    return { call: { name: 'make_plan', args: { steps: [{ id: 'step-1', tool: call.name, args: call.args }] } } };
  }
  const result = messages.findLast((message) => message.role === 'tool');
  const call = result === undefined ? firstCall(functions, task) : null;
  if (call !== null) return { call };
  const seen = result === undefined ? task : JSON.parse(result.content);
  return { call: { name: 'final_answer', args: { answer: seen.result ?? seen } } };
}

/** About four characters a token, as a bill that looks like one. */
const tokens = (value) => Math.ceil(JSON.stringify(value).length / 4);

function send(response, request) {
  const { call } = decide(request);
  const fn = { name: call.name, arguments: JSON.stringify(call.args) };
  const tool_calls = [{ index: 0, id: 'call_0', type: 'function', function: fn }];
  const usage = { prompt_tokens: tokens(request.messages), completion_tokens: tokens(fn) };
  const base = { id: 'chatcmpl-0', created: Math.floor(Date.now() / 1000), model: request.model };
  const message = { role: 'assistant', content: null, tool_calls };
  if (request.stream !== true) {
    const choices = [{ index: 0, message, finish_reason: 'tool_calls' }];
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ...base, object: 'chat.completion', choices, usage }));
    return;
  }
  const chunk = (delta, finish_reason) => ({ ...base, choices: [{ index: 0, delta, finish_reason }] });
  response.setHeader('content-type', 'text/event-stream');
  for (const event of [chunk(message, null), chunk({}, 'tool_calls'), { ...base, choices: [], usage }]) {
    response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
  response.end('data: [DONE]\n\n');
}

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text) => (body += text));
  request.on('end', () => {
    try {
      if (request.url !== '/v1/chat/completions')
        throw new Error(`only POST /v1/chat/completions is here, not ${request.url}`);
      send(response, JSON.parse(body));
    } catch (error) {
      response.statusCode = 400;
      response.end(JSON.stringify({ error: { message: error.message, type: 'invalid_request_error', code: null } }));
    }
  });
});
server.listen(port, '127.0.0.1', () => {
  process.stdout.write(`a stand-in for a model provider is at http://127.0.0.1:${server.address().port}/v1\n`);
});
