import type { Json } from '../../core/json.ts';
import type { ToolDefinition } from '../../core/tool.ts';

/**
 * What a call is about, in one form: rules compare texts, so two ways to write one thing must not be two texts. What has
 * no single meaning is no resource, and no call is allowed for it.
 */

/** Most resources that one call may name. */
const MAX_RESOURCES = 256;
const MAX_CHARACTERS = 4_096;

export type Resources = { names: string[] } | { fault: string };

/** A tool that names no argument, and an argument that is left out, are about nothing: only `*` fits the empty text. */
export function resourcesOf({ resource_field }: ToolDefinition, args: Record<string, Json>): Resources {
  if (resource_field === undefined) return { names: [''] };
  const value = argumentAt(args, resource_field);
  if (value === undefined || value === null) return { names: [''] };
  const values = Array.isArray(value) ? value : [value];
  if (values.length > MAX_RESOURCES) return { fault: `${resource_field}: names more than ${MAX_RESOURCES} resources` };
  const names: string[] = [];
  for (const one of values) {
    const read = readResource(one);
    if ('fault' in read) return { fault: `${resource_field}: ${read.fault}` };
    names.push(read.name);
  }
  return { names: names.length === 0 ? [''] : names };
}

/** The value at a dotted path; undefined where there is none. */
export function argumentAt(args: Record<string, Json>, path: string): Json | undefined {
  let value: Json | undefined = args;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) {
      return undefined;
    }
    value = value[name];
  }
  return value;
}

function readResource(value: Json): { name: string } | { fault: string } {
  if (typeof value === 'number') return { name: String(value) };
  if (typeof value !== 'string') return { fault: 'expected a text, a number, or a list of them' };
  if (value.length > MAX_CHARACTERS) return { fault: `expected at most ${MAX_CHARACTERS} characters` };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being refused
  if (/[\u0000-\u001f\u007f]/.test(value)) return { fault: 'expected no control characters' };
  return /^\s*(?:[a-z][a-z0-9+.-]*:\/\/|https?:|wss?:|ftp:|file:)/i.test(value) ? readUrl(value) : readPath(value);
}

/** As whoever fetches it understands it: lower-case host, no `..`, no user, no fragment. */
function readUrl(value: string): { name: string } | { fault: string } {
  if (!URL.canParse(value)) return { fault: 'expected a URL that can be read' };
  const url = new URL(value);
  url.username = '';
  url.password = '';
  url.hash = '';
  return { name: url.href };
}

/** Without `.` and empty parts; a leading `/` stays. */
function readPath(value: string): { name: string } | { fault: string } {
  if (value.split(/[/\\:]/).includes('..')) return { fault: 'expected a path without ".."' };
  if (value !== '.' && !/[/\\]/.test(value)) return { name: value };
  const parts = value.split(/[/\\]/);
  const kept = parts.filter((part) => part !== '' && part !== '.').join('/');
  return { name: `${/^[/\\]/.test(value) ? '/' : ''}${kept}${kept !== '' && /[/\\]$/.test(value) ? '/' : ''}` };
}
