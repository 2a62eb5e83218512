import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Person, ROLES } from './accounts.ts';

/**
 * Sessions as signed cookies: the gateway keeps nothing, so a restart logs nobody out, and gateways with one secret take
 * each other's. The secret is changed to end all of them.
 */

const Session = z.strictObject({ name: z.string().min(1).max(128), role: z.enum(ROLES), until: z.int() });

export const SESSION_MS = 12 * 3_600_000;

export class Sessions {
  private readonly secret: string;
  private readonly now: () => number;

  constructor(secret: string, now: () => number) {
    this.secret = secret;
    this.now = now;
  }

  seal(person: Person): string {
    const body = Buffer.from(JSON.stringify({ ...person, until: this.now() + SESSION_MS })).toString('base64url');
    return `${body}.${this.sign(`session.${body}`)}`;
  }

  open(cookie: string): Person | null {
    const [body = '', signature = ''] = cookie.split('.');
    if (!same(signature, this.sign(`session.${body}`))) return null;
    try {
      const { name, role, until } = Session.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
      return until > this.now() ? { name, role } : null;
    } catch {
      return null;
    }
  }

  /** What an order must carry beside the cookie: another site can send the cookie, and cannot read this. */
  csrf({ name, role }: Person): string {
    return this.sign(`csrf.${role}.${name}`);
  }

  isCsrf(person: Person, given: string): boolean {
    return same(given, this.csrf(person));
  }

  private sign(text: string): string {
    return createHmac('sha256', this.secret).update(text).digest('base64url');
  }
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'compare').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
