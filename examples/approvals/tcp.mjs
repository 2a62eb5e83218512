// An approver without any library: the NATS text protocol over a TCP socket, and Ed25519 from Node's crypto. Any language
// that has both can do the same.
//
//   node examples/approvals/tcp.mjs key                          prints a new key: {"publicKey": "U...", "seed": "SU..."}
//   node examples/approvals/tcp.mjs URL LOGIN KEY NAME VERDICT   decides about everything that is open or comes
//
// LOGIN is a file with the nkey seed to log in with ("-": none), KEY one with the seed to sign with, VERDICT one of
// approve, deny, or {"amount": 5}: approve with these arguments instead. Prints one line of JSON for each word that it
// hears; ends with the input.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const [first = '', login, keyFile, name, verdict, prefix = 'proctor'] = process.argv.slice(2);
if (first === 'key') {
  process.stdout.write(`${JSON.stringify(newKey())}\n`);
} else {
  run(first);
}

// --- keys, as NATS writes them: base32 of prefix, 32 bytes and a CRC-16 -------------------------------------------

function base32(bytes) {
  let bits = 0;
  let value = 0;
  let out = '';
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) out += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[(value >> (bits - 5)) & 31];
  }
  return bits > 0 ? out + 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[(value << (5 - bits)) & 31] : out;
}

function unbase32(text) {
  let bits = 0;
  let value = 0;
  const out = [];
  for (const char of text) {
    value = ((value << 5) | 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char)) & 0xffff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out.push((value >> bits) & 255);
  }
  return Buffer.from(out);
}

function withChecksum(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  }
  return Buffer.concat([bytes, Buffer.from([crc & 255, crc >> 8])]);
}

function pairOf(raw) {
  const privateKey = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), raw]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicRaw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { privateKey, publicKey: base32(withChecksum(Buffer.concat([Buffer.from([20 << 3]), publicRaw]))) };
}

function readSeed(file) {
  return pairOf(unbase32(readFileSync(file, 'utf8').trim()).subarray(2, 34));
}

function newKey() {
  const raw = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  const user = 20 << 3;
  const head = Buffer.from([(18 << 3) | (user >> 5), (user & 31) << 3]);
  return { publicKey: pairOf(raw).publicKey, seed: base32(withChecksum(Buffer.concat([head, raw]))) };
}

// --- the decision -----------------------------------------------------------------------------------------------

/** RFC 8785: names sorted, no space. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort((a, b) => (a < b ? -1 : 1));
  return `{${names.map((one) => `${JSON.stringify(one)}:${canonical(value[one])}`).join(',')}}`;
}

function digestOf(args) {
  return createHash('sha256').update(canonical(args)).digest('hex');
}

function decisionAbout(request, key) {
  // What is approved is what is seen: never sign a digest that somebody else worked out.
  if (digestOf(request.args) !== request.digest)
    throw new Error(`${request.id}: the digest is not that of the arguments`);
  const edited = verdict.startsWith('{') ? JSON.parse(verdict) : null;
  const payload = JSON.stringify({
    v: 1,
    type: 'proctor.decision',
    cluster: request.cluster,
    run: request.run,
    c: request.c,
    digest: request.digest,
    policy: request.policy,
    approver: name,
    verdict: verdict === 'deny' ? 'deny' : 'approve',
    why: `said by ${name} over a socket`,
    ...(edited === null ? {} : { edited: { args: edited, digest: digestOf(edited) } }),
    expires_at: request.deadline,
  });
  return JSON.stringify({
    v: 1,
    key: key.publicKey,
    payload,
    signature: sign(null, Buffer.from(payload), key.privateKey).toString('base64'),
  });
}

// --- the wire ---------------------------------------------------------------------------------------------------

function run(url) {
  const key = readSeed(keyFile);
  const { hostname, port, username, password } = new URL(url);
  const socket = connect(Number(port), hostname);
  const decided = new Set();
  let buffer = Buffer.alloc(0);

  const publish = (subject, body, reply = '') => {
    const bytes = Buffer.from(body);
    socket.write(`PUB ${subject} ${reply === '' ? '' : `${reply} `}${bytes.length}\r\n`);
    socket.write(bytes);
    socket.write('\r\n');
  };
  const decide = (request) => {
    if (decided.has(request.id)) return;
    decided.add(request.id);
    // `alice@x` becomes the token `alice=40x`; this name needs no encoding unless it has such characters.
    const id = Buffer.from(`${request.c}-${name}`)
      .toString()
      .replace(/[^A-Za-z0-9_-]/g, (char) => {
        return `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
      });
    publish(`${prefix}.in.${request.run}.decision.${id}`, decisionAbout(request, key), '_INBOX.tcp.stored');
  };
  const told = (subject, data) => {
    if (subject === '_INBOX.tcp.open') for (const request of JSON.parse(data).requests) decide(request);
    else if (subject.startsWith(`${prefix}.apr.req.`)) decide(JSON.parse(data));
    else process.stdout.write(`${JSON.stringify({ subject, data: JSON.parse(data) })}\n`);
  };
  const begin = (info) => {
    const who = {};
    if (login !== '-') {
      const own = readSeed(login);
      who.nkey = own.publicKey;
      who.sig = sign(null, Buffer.from(info.nonce), own.privateKey).toString('base64url');
    } else if (username !== '') {
      Object.assign(who, { user: decodeURIComponent(username), pass: decodeURIComponent(password) });
    }
    socket.write(
      `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, lang: 'none', version: '1', ...who })}\r\n`,
    );
    socket.write(`SUB ${prefix}.apr.req.*.*.* 1\r\nSUB ${prefix}.apr.note.*.*.* 2\r\nSUB _INBOX.tcp.* 3\r\n`);
    publish(`${prefix}.apr.open`, '{}', '_INBOX.tcp.open');
    process.stderr.write('listening\n');
  };

  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      const end = buffer.indexOf('\r\n');
      if (end < 0) return;
      const [verb = '', ...rest] = buffer.subarray(0, end).toString().split(' ');
      if (verb === 'MSG') {
        const bytes = Number(rest.at(-1));
        if (buffer.length < end + 4 + bytes) return;
        told(rest[0], buffer.subarray(end + 2, end + 2 + bytes).toString());
        buffer = buffer.subarray(end + 4 + bytes);
        continue;
      }
      const line = buffer.subarray(0, end).toString();
      buffer = buffer.subarray(end + 2);
      if (verb === 'INFO' && !socket.begun) {
        socket.begun = true;
        begin(JSON.parse(line.slice(5)));
      } else if (verb === 'PING') socket.write('PONG\r\n');
      else if (verb === '-ERR') process.stderr.write(`${line}\n`);
    }
  });
  socket.on('close', () => process.exit(0));
  process.stdin.on('end', () => socket.end()).resume();
}
