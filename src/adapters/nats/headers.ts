import { headers as emptyHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import { AppError } from '../../core/errors.ts';

/** Headers for the wire, or undefined when there are none. Throws AppError `invalid` for what cannot be a header. */
export function toWire(headers: Record<string, string> | undefined): MsgHdrs | undefined {
  if (headers === undefined) return undefined;
  const names = Object.keys(headers);
  if (names.length === 0) return undefined;
  const wire = emptyHeaders();
  try {
    for (const name of names) wire.append(name, headers[name] ?? '');
  } catch (cause) {
    throw new AppError('invalid', `headers ${names.join(', ')}: ${String(cause)}`, { cause });
  }
  return wire;
}

/** The headers of a message; undefined when it has none, or none that can be read: anybody may send anything. */
export function headersOf(msg: Msg): MsgHdrs | undefined {
  try {
    return msg.headers;
  } catch {
    return undefined;
  }
}

/** The first value of each header, without those that `skip` names. */
export function fromWire(wire: MsgHdrs | undefined, skip?: ReadonlySet<string>): Record<string, string> {
  const out: Record<string, string> = {};
  if (wire === undefined) return out;
  for (const [name, [value]] of wire) {
    if (value !== undefined && skip?.has(name) !== true) out[name] = value;
  }
  return out;
}

/** The first value of each header in a stored header block: a status line, then `Name: value` lines. */
export function parseBlock(block: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const line of block.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (colon > 0 && !(name in out)) out[name] = line.slice(colon + 1).trim();
  }
  return out;
}
