import { AppError } from '../../core/errors.ts';

/**
 * The segments of a path inside the root; empty for the root itself. `/` separates, `.` and empty segments are
 * dropped, nothing is decoded. Throws AppError `path_outside_root` for absolute paths and any `..`, `invalid_path`
 * for control characters, backslashes and overlong names.
 */
export function segmentsOf(path: string, field: string): string[] {
  if (path.startsWith('/') || path.startsWith('\\') || /^[A-Za-z]:/.test(path)) {
    throw new AppError('path_outside_root', 'The path must be relative to the root folder of the file tools.', {
      field,
    });
  }
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (segments.includes('..')) {
    throw new AppError('path_outside_root', 'The path must not contain "..".', { field });
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being refused
  if (/[\u0000-\u001f\u007f\\]/.test(path) || !path.isWellFormed()) {
    throw new AppError('invalid_path', 'The path must not contain backslashes or control characters.', { field });
  }
  if (segments.length > MAX_DEPTH_OF_PATH || segments.some((segment) => Buffer.byteLength(segment) > 255)) {
    throw new AppError('invalid_path', `The path may have ${MAX_DEPTH_OF_PATH} segments of at most 255 bytes each.`, {
      field,
    });
  }
  return segments;
}

/** Deepest folder that the file tools reach, in segments below the root. */
export const MAX_DEPTH_OF_PATH = 32;

const CODES: Record<string, [code: string, what: string, retryable?: boolean]> = {
  ENOENT: ['not_found', 'does not exist'],
  ENOTDIR: ['not_a_directory', 'is not a directory'],
  EEXIST: ['not_a_directory', 'is not a directory'],
  EISDIR: ['not_a_file', 'is a directory, not a file'],
  ENXIO: ['not_a_file', 'is not a regular file'],
  ELOOP: ['link_refused', 'is a symbolic link; links are not followed'],
  EACCES: ['access_denied', 'may not be accessed'],
  EPERM: ['access_denied', 'may not be accessed'],
  EROFS: ['access_denied', 'is on a read-only file system'],
  ENAMETOOLONG: ['invalid_path', 'has too long a name'],
  ENOSPC: ['disk_full', 'could not be written: the disk is full', true],
  EDQUOT: ['disk_full', 'could not be written: the disk quota is used up', true],
};

/** A file system failure as an AppError that names the path as the caller wrote it, never the real place. */
export function fileError(thrown: unknown, shown: string, field: string): AppError {
  if (thrown instanceof AppError) return thrown;
  const errno = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
  const [code, what, retryable] = CODES[errno] ?? ['io_error', `could not be used (${errno})`, true];
  return new AppError(code, `"${shown || '.'}" ${what}.`, { field, retryable: retryable ?? false, cause: thrown });
}
