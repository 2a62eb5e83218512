/** Whether a subject matches a NATS filter: `*` stands for one token, a trailing `>` for one or more. */
export function matches(filter: string, subject: string): boolean {
  const want = filter.split('.');
  const have = subject.split('.');
  for (const [i, token] of want.entries()) {
    if (token === '>') return have.length > i;
    if (have[i] === undefined || (token !== '*' && token !== have[i])) return false;
  }
  return have.length === want.length;
}

/** Whether some subject matches both filters. */
export function overlaps(a: string, b: string): boolean {
  const left = a.split('.');
  const right = b.split('.');
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]];
    if (x === undefined || y === undefined) return false;
    if (x === '>' || y === '>') return true;
    if (x !== '*' && y !== '*' && x !== y) return false;
  }
  return true;
}
