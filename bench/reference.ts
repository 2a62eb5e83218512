import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { processIo } from '../src/cli/io.ts';
import { createProgram } from '../src/cli/program.ts';
import { reference } from '../src/cli/reference.ts';

/** Writes `docs/cli.md`; a test holds the file equal to the program. */
const file = new URL('../../docs/cli.md', import.meta.url);
await writeFile(file, reference(createProgram(processIo)));
process.stdout.write(`wrote ${fileURLToPath(file)}\n`);
