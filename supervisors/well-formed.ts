import type { Input } from './state.ts';

/** Whether an input is what it says: hosts are trusted to mean well, not to be free of faults, and a decision never throws. */
export function isWellFormed(input: unknown): input is Input {
  if (!isObject(input)) return false;
  switch (input.type) {
    case 'start':
    case 'tick':
    case 'kill':
      return true;
    case 'started':
    case 'ignored':
      return isText(input.ref);
    case 'start_failed':
    case 'exited':
      return isText(input.ref) && isReason(input.reason);
    case 'spoke':
      return isText(input.ref) && isObject(input.spec) && isText(input.what);
    case 'stop':
      return isText(input.from) && isReason(input.reason);
    case 'message':
      return isText(input.id);
    case 'call':
      return isObject(input.call) && typeof input.call.call === 'number';
    default:
      return false;
  }
}

function isReason(value: unknown): boolean {
  if (!isObject(value)) return false;
  if (value.type === 'error') return isError(value.error);
  if (value.type === 'shutdown') {
    return (value.detail === undefined || isText(value.detail)) && (value.error === undefined || isError(value.error));
  }
  return value.type === 'normal' || value.type === 'killed';
}

function isError(value: unknown): boolean {
  return isObject(value) && isText(value.code) && isText(value.message);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
