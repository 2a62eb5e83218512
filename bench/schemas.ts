import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { jsonSchemas } from '../src/core/wire-schemas.ts';

/** Writes the JSON Schemas of all messages to `schemas/`; a test holds the files equal to the code. */
const folder = new URL('../../schemas/', import.meta.url);
await mkdir(folder, { recursive: true });
const schemas = Object.entries(jsonSchemas());
for (const [name, schema] of schemas) await writeFile(new URL(name, folder), `${JSON.stringify(schema, null, 2)}\n`);
process.stdout.write(`wrote ${schemas.length} schemas to ${fileURLToPath(folder)}\n`);
