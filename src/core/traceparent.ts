/** W3C trace context, version 00: `00-<32 hex digits>-<16 hex digits>-<flags>`. */

export const TRACEPARENT_HEADER = 'traceparent';

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

export interface TraceContext {
  trace: string;
  span: string;
  sampled: boolean;
}

/** Null for anything else: a trace context that cannot be read is as good as none. */
export function parseTraceparent(text: string | undefined): TraceContext | null {
  const match = TRACEPARENT.exec(text ?? '');
  if (match === null) return null;
  const [, trace = '', span = '', flags = '00'] = match;
  return { trace, span, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ trace, span, sampled }: TraceContext): string {
  return `00-${trace}-${span}-${sampled ? '01' : '00'}`;
}
