import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { createProgram, runCommand } from '../../src/cli/program.ts';
import { reference } from '../../src/cli/reference.ts';

const said: string[] = [];
const io: Io = {
  out: (text) => void said.push(text),
  err: (text) => void said.push(text),
  outIsTty: false,
  errIsTty: false,
  colours: false,
};

async function completion(shell: string): Promise<string> {
  said.length = 0;
  expect(await runCommand(io, ['completion', shell])).toBe(0);
  return said.join('\n');
}

describe('docs/cli.md', () => {
  it('is what the program says of itself (npm run reference writes it)', () => {
    const file = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
    expect(file).toBe(reference(createProgram(io)));
    for (const command of ['watch <run>', 'cancel [run]', 'deadletter retry [id...]', 'tools show <name>', 'health']) {
      expect(file).toContain(`    proctor ${command}\n`);
    }
  });
});

describe('completion', () => {
  /** What bash offers for the last word. */
  async function offered(...words: string[]): Promise<string[]> {
    const folder = mkdtempSync(join(tmpdir(), 'proctor-completion-'));
    try {
      const script = join(folder, 'completion.bash');
      const line = ['proctor', ...words].map((word) => `'${word}'`).join(' ');
      const run = `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _proctor; printf '%s\\n' "\${COMPREPLY[@]}"`;
      writeFileSync(script, `${await completion('bash')}\n${run}\n`);
      return execFileSync('bash', ['--norc', script], { encoding: 'utf8' }).trim().split('\n');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('in bash offers commands, their sub-commands and their options', async () => {
    expect(await offered('wa')).toEqual(['watch']);
    expect(await offered('deadletter', '')).toEqual(expect.arrayContaining(['ls', 'show', 'retry']));
    expect(await offered('quarantine', 'retry', '20260101-a-1', '--w')).toEqual(['--why']);
    expect(await offered('submit', '--wa')).toEqual(['--wait']);
  });

  it('in zsh and fish names every command', async () => {
    const commands = createProgram(io).commands.map((command) => command.name());
    expect(commands.length).toBeGreaterThan(15);
    const [zsh, fish] = [await completion('zsh'), await completion('fish')];
    for (const name of commands) {
      expect(zsh).toContain(`"${name}")`);
      expect(fish).toContain(` -a ${name} `);
    }
  });

  it('of another shell is refused', async () => {
    expect(await runCommand(io, ['completion', 'tcsh'])).toBe(2);
  });
});
