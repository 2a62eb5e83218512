import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { AppError, describeFaults } from '../../../core/errors.ts';
import type { Role } from '../../wire.ts';

/** Who may use the console: people with tokens of their own, or with one that works a single time. */

export const ROLES = ['viewer', 'approver', 'operator'] as const satisfies readonly Role[];

export interface Person {
  name: string;
  role: Role;
}

const Account = z.strictObject({
  name: z.string().min(1).max(128),
  role: z.enum(ROLES),
  token: z.string().min(16, 'expected at least 16 characters').max(512),
});
const TokenFile = z.strictObject({ accounts: z.array(Account).min(1).max(1_000) });

/**
 * The accounts in the text of a token file: `{"accounts": [{"name": "olga", "role": "operator", "token": "..."}]}`.
 * Throws AppError `bad_token_file`; the message never shows a token.
 */
export function readAccounts(text: string, path: string): Accounts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AppError('bad_token_file', `${path}: not JSON: expected {"accounts": [{"name", "role", "token"}]}`);
  }
  const parsed = TokenFile.safeParse(value);
  if (!parsed.success) {
    throw new AppError('bad_token_file', `${path}: ${describeFaults(parsed.error, 'file').message}`);
  }
  return new Accounts(parsed.data.accounts);
}

export class Accounts {
  private readonly known: { person: Person; digest: Buffer }[];
  private once: { person: Person; digest: Buffer } | null = null;

  constructor(accounts: z.infer<typeof Account>[] = []) {
    this.known = accounts.map(({ name, role, token }) => ({ person: { name, role }, digest: digestOf(token) }));
  }

  get any(): boolean {
    return this.known.length > 0;
  }

  /** A token that logs one person in, one time. */
  allowOnce(token: string, person: Person): void {
    this.once = { person, digest: digestOf(token) };
  }

  /** Every account is looked at, by hash, so that the time it takes tells nothing. */
  personOf(token: string): Person | null {
    const given = digestOf(token);
    let found: Person | null = null;
    for (const { person, digest } of this.known) if (timingSafeEqual(digest, given)) found = person;
    if (found === null && this.once !== null && timingSafeEqual(this.once.digest, given)) {
      found = this.once.person;
      this.once = null;
    }
    return found;
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
