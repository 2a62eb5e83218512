import { ToolDefinition } from '../../src/core/tool.ts';
import { TOOL } from './wire.ts';

export const TOOL_DEFINITION = ToolDefinition.parse({
  name: TOOL,
  description: 'answers 200 bytes',
  parameters: { type: 'object', required: ['order'], properties: { order: { type: 'string' } } },
  idempotent: true,
});
