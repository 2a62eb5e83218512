/**
 * Secrets out of what is shown, logged or traced (OBS-1): values under secret names at any depth, by exact name so that
 * `tokens_in` stays, and key-shaped strings inside texts.
 *
 * Texts come from models and tools, so they may be hostile: every pattern here looks at a character a bounded number of
 * times. What cannot be told apart from a secret counts as one.
 */

export const REDACTED = '***REDACTED***';

/** Lower case, without `-` and `_`: `api_key`, `api-key` and `apiKey` are one name. */
const SECRET_NAMES = new Set([
  'password',
  'passwd',
  'passphrase',
  'token',
  'accesstoken',
  'refreshtoken',
  'idtoken',
  'authtoken',
  'secret',
  'clientsecret',
  'secretkey',
  'secretaccesskey',
  'apikey',
  'xapikey',
  'privatekey',
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'nkeyseed',
  'seed',
]);

/** How keys of common providers begin; the rest of the word belongs to them. */
const KEY_PREFIXES: readonly { prefix: string; least: number }[] = [
  ...['sk-', 'pk-', 'rk-', 'sk_live_', 'sk_test_', 'rk_live_', 'rk_test_'].map((prefix) => ({ prefix, least: 16 })),
  ...['ghp_', 'gho_', 'ghs_', 'ghu_', 'ghr_', 'github_pat_', 'glpat-', 'npm_', 'hf_'].map((prefix) => ({
    prefix,
    least: 12,
  })),
  ...['xoxa-', 'xoxb-', 'xoxp-', 'xoxr-', 'xoxs-', 'xapp-'].map((prefix) => ({ prefix, least: 10 })),
  ...['AKIA', 'ASIA', 'AIza', 'ya29.'].map((prefix) => ({ prefix, least: 12 })),
];

/** Whether a word is worth a closer look: nearly none is. */
const KEY_HINT = new RegExp([...KEY_PREFIXES.map(({ prefix }) => prefix.replace('.', '\\.')), 'eyJ'].join('|'));
const WORD = /[A-Za-z0-9_.~+-]{12,}/g;
const NKEY_SEED = /(?<![A-Z2-7])S[UACNOX][A-Z2-7]{56}(?![A-Z2-7])/g;
const BEARER = /\b(Bearer)[ \t]{1,8}[A-Za-z0-9._~+/-]{8,}={0,2}/gi;
/** A secret name as text says it, up to where its value begins: `token=`, `"password": "`, `\"api_key\":\"`. */
const ASSIGNED =
  /(?<![A-Za-z0-9])(?:password|passwd|passphrase|token|secret|api[_-]?key|secret[_-]?(?:access[_-]?)?key|private[_-]?key|authorization|cookie)(?:\\{0,8}["'])?[ \t]{0,8}[:=][ \t]{0,8}/gi;
/** Where the part of an address ends in which a login can stand. */
const AFTER_LOGIN = /[\s/?#"'<>\\]/g;
const LINE_END = /[\r\n"'\\]/g;
const KEY_BEGINS = '-----BEGIN ';
const KEY_ENDS = '-----END ';
const VALUE_END = /[\s"'&,;)}\]\\]/g;

const MAX_DEPTH = 32;

export function redactText(text: string): string {
  if (text.length < 8) return text;
  let out = text;
  if (out.includes(KEY_BEGINS)) out = withoutPrivateKeys(out);
  if (out.includes('://')) out = withoutLogins(out);
  out = withoutAssigned(out);
  out = out.replace(BEARER, `$1 ${REDACTED}`);
  out = out.replace(NKEY_SEED, REDACTED);
  return out.replace(WORD, withoutKey);
}

/** A copy without secrets; deeper than 32 levels nothing is shown. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Error) return { name: value.name, message: redactText(value.message) };
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      redactText(name),
      isSecretName(name) ? REDACTED : redact(item, depth + 1),
    ]),
  );
}

export function isSecretName(name: string): boolean {
  return name.length <= 32 && SECRET_NAMES.has(name.toLowerCase().replace(/[-_]/g, ''));
}

/** What may hold a key is gone from its first character to the end of its word. */
function withoutKey(word: string): string {
  if (!KEY_HINT.test(word)) return word;
  let from = word.length;
  for (const { prefix, least } of KEY_PREFIXES) {
    const at = beginning(word, prefix);
    if (at >= 0 && word.length - at - prefix.length >= least) from = Math.min(from, at);
  }
  const jwt = beginning(word, 'eyJ');
  if (jwt >= 0 && word.indexOf('.', word.indexOf('.', jwt) + 1) > word.indexOf('.', jwt)) from = Math.min(from, jwt);
  return from === word.length ? word : `${word.slice(0, from)}${REDACTED}`;
}

/** First place of `prefix` that is not in the middle of a name; -1 when there is none. */
function beginning(word: string, prefix: string): number {
  for (let at = word.indexOf(prefix); at >= 0; at = word.indexOf(prefix, at + 1)) {
    if (at === 0 || !/[A-Za-z0-9]/.test(word[at - 1] ?? '')) return at;
  }
  return -1;
}

/** `scheme://user:password@host` and `scheme://token@host`. */
function withoutLogins(text: string): string {
  let out = '';
  let done = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', done)) {
    const from = at + 3;
    const end = nextOf(AFTER_LOGIN, text, from);
    const login = text.slice(from, end).lastIndexOf('@');
    out += text.slice(done, from);
    done = from;
    if (login >= 0) {
      out += REDACTED;
      done = from + login;
    }
  }
  return out + text.slice(done);
}

function withoutAssigned(text: string): string {
  let out = '';
  let done = 0;
  ASSIGNED.lastIndex = 0;
  for (let match = ASSIGNED.exec(text); match !== null; match = ASSIGNED.exec(text)) {
    const from = match.index + match[0].length;
    const [begin, end] = valueAt(text, from);
    ASSIGNED.lastIndex = Math.max(end, from);
    if (end <= begin || text.startsWith(REDACTED, begin)) continue;
    out += text.slice(done, begin) + REDACTED;
    done = end;
  }
  return done === 0 ? text : out + text.slice(done);
}

/** Where the value that begins here stands: to its closing quote, or to the end of the text when that was cut off. */
function valueAt(text: string, from: number): [begin: number, end: number] {
  let at = from;
  while (text[at] === '\\' && at - from < 8) at++;
  const quote = text[at];
  if (quote !== '"' && quote !== "'") {
    // `Authorization: Basic abc=`: the scheme belongs to it.
    const scheme = /^(?:basic|bearer|digest|token)[ \t]{1,8}/i.exec(text.slice(from, from + 24))?.[0].length ?? 0;
    return [from, nextOf(VALUE_END, text, from + scheme)];
  }
  const closing = text.slice(from, at + 1);
  for (let end = text.indexOf(closing, at + 1); end >= 0; end = text.indexOf(closing, end + 1)) {
    if (closing.length > 1 || text[end - 1] !== '\\') return [at + 1, end];
  }
  return [at + 1, text.length];
}

function withoutPrivateKeys(text: string): string {
  let out = '';
  let done = 0;
  for (let at = text.indexOf(KEY_BEGINS); at >= 0; at = text.indexOf(KEY_BEGINS, at + KEY_BEGINS.length)) {
    if (at < done || !text.slice(at, at + 64).includes('PRIVATE KEY-----')) continue;
    const end = text.indexOf(KEY_ENDS, at);
    out += text.slice(done, at) + REDACTED;
    done = end < 0 ? text.length : nextOf(LINE_END, text, end);
  }
  return out + text.slice(done);
}

function nextOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}
