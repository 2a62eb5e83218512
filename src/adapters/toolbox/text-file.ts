import { AppError } from '../../core/errors.ts';
import type { Folder } from './confined-root.ts';

/** Reads a text file of an open folder. AppErrors: `file_too_large`, `binary_file`, and what `Folder.file` throws. */
export async function readText(folder: Folder, name: string, field: string, maxBytes: number): Promise<string> {
  const shown = folder.shown === '' ? name : `${folder.shown}/${name}`;
  const { handle, stats } = await folder.file(name, field);
  try {
    // The file may grow while it is read, and some say that they are empty: only what arrives counts.
    const buffer = Buffer.alloc(Math.min(stats.size, maxBytes) + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
    if (length > maxBytes) {
      throw new AppError('file_too_large', `"${shown}" has ${stats.size} bytes; at most ${maxBytes} can be read.`, {
        field,
      });
    }
    return decodeText(buffer.subarray(0, length), shown, field);
  } finally {
    await handle.close();
  }
}

function decodeText(bytes: Uint8Array, shown: string, field: string): string {
  const text = tryDecode(bytes);
  if (text !== null) return text;
  throw new AppError('binary_file', `"${shown}" is not a UTF-8 text file.`, { field });
}

/** The text of bytes, or null when they are not text in that encoding. A byte order mark stays in the text. */
export function tryDecode(bytes: Uint8Array, encoding = 'utf-8'): string | null {
  try {
    const text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes('\u0000') ? null : text;
  } catch {
    return null;
  }
}

/** Lines without their ends (`\n` or `\r\n`); a last empty line after a final line end is not one. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
