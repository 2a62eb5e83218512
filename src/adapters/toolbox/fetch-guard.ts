import ipaddr from 'ipaddr.js';
import { AppError } from '../../core/errors.ts';

/**
 * Which hosts http_fetch may talk to: nobody, unless an entry names them. `host` stands for the default port of the
 * scheme, `host:port` for that port, `*.example.com` for every name below example.com (not example.com itself), and
 * `[::1]:8080` for IPv6. A host that an entry names in full may have a private address; one that only a pattern
 * covers may not.
 */
export class AllowList {
  readonly #entries: Entry[];

  /** Throws AppError `bad_allow_list` on an entry that is not of these forms. */
  constructor(entries: string[]) {
    this.#entries = entries.map(parseEntry);
  }

  /** Checks one hop and says whether the host may have a private address. Throws AppErrors with `field`. */
  check(url: URL, field: string): { mayBePrivate: boolean } {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new AppError('scheme_not_allowed', 'Only http and https can be fetched.', { field });
    }
    if (url.username !== '' || url.password !== '') {
      throw new AppError('credentials_in_url', 'The URL must not contain a user name or password.', { field });
    }
    const port = url.port === '' ? DEFAULT_PORTS[url.protocol] : url.port;
    const fitting = this.#entries.filter(
      (entry) =>
        (entry.port ?? DEFAULT_PORTS[url.protocol]) === port &&
        (entry.below ? url.hostname.endsWith(`.${entry.host}`) : url.hostname === entry.host),
    );
    if (fitting.length === 0) {
      throw new AppError('host_not_allowed', `"${url.host}" is not on the list of allowed hosts.`, { field });
    }
    return { mayBePrivate: fitting.some((entry) => !entry.below) };
  }
}

interface Entry {
  host: string;
  port: string | undefined;
  below: boolean;
}

const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' };

function parseEntry(entry: string): Entry {
  const match = /^(\*\.)?([^\s/@:*?#[\]\\]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?$/.exec(entry);
  const [, star, name, port] = match ?? [];
  const url = name !== undefined && URL.canParse(`http://${name}`) ? new URL(`http://${name}`) : null;
  const below = star !== undefined;
  const bad = url === null || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535 || (below && isAddress(url.hostname));
  if (bad) {
    throw new AppError('bad_allow_list', `"${entry}" is not host, host:port, *.domain or [ipv6]:port.`, {
      field: 'allowHosts',
    });
  }
  return { host: url.hostname, port: port === undefined ? undefined : String(Number(port)), below };
}

/** Whether a URL's host name is an address. */
export function isAddress(hostname: string): boolean {
  return ipaddr.isValid(unbracket(hostname));
}

export function unbracket(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** Whether an address lies on the public internet; loopback, private, link-local, mapped ones and the like do not. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  // Of IPv6, only 2000::/3 has been given out as global; the library calls the rest unicast too.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0] ?? 0) >> 5 === 1;
}
