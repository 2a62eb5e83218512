import { AppError } from '../../core/errors.ts';

/**
 * File patterns that cannot be made slow: `*` and `?` inside a segment, `**` as a segment of its own for any number of
 * segments. Glob libraries translate into regular expressions, which a hostile pattern can make run for ever; two
 * pointers and one place to fall back to are enough for this language and take at most the product of the lengths.
 */
export interface Glob {
  /** Whether a path, given as its segments, matches. */
  matches(segments: string[]): boolean;
  /** Deepest path that can match, in segments; Infinity with a `**`. */
  depth: number;
}

/** Throws AppError `invalid_pattern` for braces, brackets, `..` and absolute patterns. */
export function parseGlob(pattern: string, field: string): Glob {
  const parts = pattern.split('/').filter((part) => part !== '' && part !== '.');
  if (/[{}[\]\\]/.test(pattern) || pattern.startsWith('/') || parts.includes('..') || parts.length === 0) {
    throw new AppError('invalid_pattern', 'A file pattern is a relative path with *, ** and ?; nothing else.', {
      field,
    });
  }
  return {
    matches: (segments) => wildcard(parts, segments, (part) => part === '**', segmentMatches),
    depth: parts.includes('**') ? Number.POSITIVE_INFINITY : parts.length,
  };
}

function segmentMatches(part: string, segment: string): boolean {
  return wildcard(
    [...part],
    [...segment],
    (char) => char === '*',
    (char, actual) => char === '?' || char === actual,
  );
}

/** Greedy match: after a mismatch, the last star takes one more item. */
function wildcard<T>(
  pattern: T[],
  items: T[],
  isStar: (token: T) => boolean,
  fits: (token: T, item: T) => boolean,
): boolean {
  let at = 0;
  let star = -1;
  let taken = 0;
  for (let i = 0; i < items.length; ) {
    const token = pattern[at];
    const item = items[i] as T;
    if (token !== undefined && isStar(token)) {
      star = at++;
      taken = i;
    } else if (token !== undefined && fits(token, item)) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++taken;
    } else {
      return false;
    }
  }
  return pattern.slice(at).every(isStar);
}
