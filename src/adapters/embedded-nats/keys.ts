import { createHash } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createUser, fromSeed } from '@nats-io/nkeys';
import { z } from 'zod';
import { ApproverName, Group } from '../../core/approval-rules.ts';
import { AppError } from '../../core/errors.ts';
import { Name } from '../../core/task.ts';
import { encodeToken } from '../../core/tokens.ts';

/**
 * The credentials of an embedded or composed server, made once and kept in `<dir>/keys` (folder 0700, files 0600).
 * Our own processes sign with nkeys, in files that `nats --nkey` reads too. Submitters get user and password, which any
 * client can use, also one that only speaks the text protocol.
 */

export const ROLES = ['node', 'worker', 'operator', 'approver', 'viewer', 'console'] as const;
export type Role = (typeof ROLES)[number];

/** A file named below `dir`, and the secret in it. */
export interface NkeyCredential {
  file: string;
  seed: string;
  publicKey: string;
}

/** Somebody who approves, with a login that sees the requests of these groups alone. */
export interface GroupApprover {
  name: string;
  groups: string[];
}

export interface PasswordCredential {
  file: string;
  user: string;
  password: string;
}

export interface Keys {
  roles: Record<Role, NkeyCredential>;
  submitters: PasswordCredential[];
  /** Beside the role `approver`, which sees the requests of all groups. */
  approvers: (GroupApprover & NkeyCredential)[];
  /** What servers of one cluster log in to each other with. */
  routes: PasswordCredential;
}

const PasswordFile = z.object({ user: Name, password: z.string().min(16).max(256) });

/** Reads the keys, making those that are missing. `random` gives that many random bytes. */
export async function ensureKeys(
  dir: string,
  users: string[],
  random: (bytes: number) => Uint8Array,
  approvers: GroupApprover[] = [],
): Promise<Keys> {
  const folder = join(dir, 'keys');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const nkey = async (name: string): Promise<NkeyCredential> => {
    const file = join('keys', `${name}.nk`);
    const text = await readOrMake(dir, file, () => new TextDecoder().decode(createUser().getSeed()), random);
    return { file, ...parseSeed(text, join(dir, file)) };
  };
  const role = (name: Role) => nkey(name);
  const password = async (user: string, name: string): Promise<PasswordCredential> => {
    const file = join('keys', `${name}.json`);
    const text = await readOrMake(
      dir,
      file,
      () => JSON.stringify({ user, password: Buffer.from(random(24)).toString('base64url') }),
      random,
    );
    return { file, ...parsePassword(text, user, join(dir, file)) };
  };
  return {
    roles: {
      node: await role('node'),
      worker: await role('worker'),
      operator: await role('operator'),
      approver: await role('approver'),
      viewer: await role('viewer'),
      console: await role('console'),
    },
    submitters: await Promise.all(
      [...new Set(users.map((user) => Name.parse(user)))].map((user) => password(user, `submit-${fileNameOf(user)}`)),
    ),
    approvers: await Promise.all(
      approvers.map(async ({ name, groups }) => ({
        name: ApproverName.parse(name),
        groups: groups.map((group) => Group.parse(group)),
        ...(await nkey(`login-${fileNameOf(name)}`)),
      })),
    ),
    routes: await password('routes', 'routes'),
  };
}

/** A file name for a user on file systems that ignore case and limit length. */
function fileNameOf(user: string): string {
  const token = encodeToken(user);
  return /^[a-z0-9_-]+$/.test(token) ? token : `=${createHash('sha256').update(user).digest('hex').slice(0, 32)}`;
}

async function readOrMake(
  dir: string,
  file: string,
  make: () => string,
  random: (bytes: number) => Uint8Array,
): Promise<string> {
  const path = join(dir, file);
  const present = await readFile(path, 'utf8').catch(() => null);
  if (present !== null) {
    await chmod(path, 0o600);
    return present;
  }
  // Written aside and linked: a crash leaves either no key or a whole one, and of two makers one wins.
  const temporary = `${path}.${Buffer.from(random(8)).toString('hex')}.tmp`;
  await writeFile(temporary, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  await link(temporary, path).catch(() => undefined);
  await rm(temporary, { force: true });
  return readFile(path, 'utf8');
}

function parseSeed(text: string, path: string): { seed: string; publicKey: string } {
  const seed = text.trim();
  try {
    return { seed, publicKey: fromSeed(new TextEncoder().encode(seed)).getPublicKey() };
  } catch {
    throw damaged(path);
  }
}

function parsePassword(text: string, user: string, path: string): { user: string; password: string } {
  try {
    const parsed = PasswordFile.parse(JSON.parse(text));
    if (parsed.user === user) return parsed;
  } catch {
    // Told below: what the parser says would show the password.
  }
  throw damaged(path);
}

function damaged(path: string): AppError {
  return new AppError('bad_key_file', `${path} is damaged. Delete it: a new key is made at the next start.`);
}
