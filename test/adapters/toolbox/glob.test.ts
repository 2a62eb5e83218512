import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseGlob } from '../../../src/adapters/toolbox/glob.ts';

/** The obvious definition, slow on purpose. */
function oracle(pattern: string[], path: string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return path.length === 0;
  if (head === '**') return oracle(rest, path) || (path.length > 0 && oracle(pattern, path.slice(1)));
  const [first, ...others] = path;
  return first !== undefined && oracleSegment(head, first) && oracle(rest, others);
}

function oracleSegment(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*')
    return oracleSegment(pattern.slice(1), text) || (text !== '' && oracleSegment(pattern, text.slice(1)));
  return (
    text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && oracleSegment(pattern.slice(1), text.slice(1))
  );
}

describe('a file pattern', () => {
  it('matches what the plain definition matches', () => {
    const segment = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 5 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(segment, fc.constant('**')), { minLength: 1, maxLength: 4 }),
        fc.array(name, { minLength: 1, maxLength: 4 }),
        (pattern, path) => {
          expect(parseGlob(pattern.join('/'), 'pattern').matches(path)).toBe(oracle(pattern, path));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('that would keep a regular expression busy for ever is answered', () => {
    const glob = parseGlob(`${'*a'.repeat(100)}*b`, 'pattern');
    expect(glob.matches(['a'.repeat(255)])).toBe(false);
    const deep = parseGlob(`${'**/a/'.repeat(50)}b`, 'pattern');
    expect(deep.matches(Array.from({ length: 1000 }, () => 'a'))).toBe(false);
  });

  it('counts whole characters', () => {
    expect(parseGlob('?', 'pattern').matches(['😀'])).toBe(true);
  });

  it.each(['*.{ts,js}', '[ab]', 'a\\*', '/etc/*', '../*', 'a/../../*', '.', '/'])('is refused: %s', (pattern) => {
    expect(() => parseGlob(pattern, 'pattern')).toThrow(
      expect.objectContaining({ code: 'invalid_pattern', field: 'pattern' }),
    );
  });
});
