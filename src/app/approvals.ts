import { readFile } from 'node:fs/promises';
import { systemClock } from '../adapters/clock/system-clock.ts';
import { newNkey, nkeySignatures, nkeySigner } from '../adapters/nkeys/signing.ts';
import { AppError } from '../core/errors.ts';
import { Subjects } from '../core/subjects.ts';
import type { Log } from '../ports/telemetry.ts';
import { type Approver, createApprover, type Verdict } from '../worker/approver.ts';
import { type ApprovalService, type ServeApprovalsOptions, serveApprovals } from '../worker/serve-approvals.ts';
import { connectBus, type NatsAddress } from './connect.ts';
import { loginIn } from './folder.ts';
import { logTo, SILENT } from './local.ts';

/** Approvers with a connection of their own: what a script of a user's needs, and the command line. */

export { type Approver, newNkey, type Verdict };

export interface ConnectApproverOptions {
  /** Data folder of a Proctor on this machine, whose server and login are used; default `.proctor`. */
  dir?: string;
  /** A server of yours, with the login; `dir` is not looked at then. */
  nats?: NatsAddress;
  /** First token of all subjects; default what the folder says, else `proctor`. */
  prefix?: string;
  /** Groups whose requests are looked at; default all. A login for some groups needs them named. */
  groups?: string[];
  /** Who decides, and the file with the key that `proctor keys new` wrote. */
  as?: { name: string; keyFile: string };
}

/** Reads a key to sign with. Throws AppError `bad_key_file`. */
async function signerIn(file: string) {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('bad_key_file', `${file} cannot be read: name the file that "proctor keys new" wrote`, {
      cause,
    });
  });
  return nkeySigner(text);
}

async function connected(options: ConnectApproverOptions, log: Log) {
  const as = options.as === undefined ? null : { name: options.as.name, signer: await signerIn(options.as.keyFile) };
  const { address, subjects } =
    options.nats === undefined
      ? await loginIn(options.dir ?? '.proctor', { role: 'approver' }, options.prefix)
      : { address: options.nats, subjects: new Subjects(options.prefix) };
  const bus = await connectBus(address, 'proctor-approver', subjects, log);
  return {
    bus,
    subjects,
    clock: systemClock(),
    signatures: nkeySignatures,
    ...(options.groups === undefined ? {} : { groups: options.groups }),
    ...(as === null ? {} : { as }),
  };
}

/** Throws AppError `not_running`, `no_credential`, `bad_key_file`, `unavailable` (no server), `unauthorized`. */
export async function connectApprover(
  options: ConnectApproverOptions = {},
): Promise<Approver & { close(): Promise<void> }> {
  const parts = await connected(options, SILENT);
  return { ...createApprover(parts), close: () => parts.bus.close() };
}

export type StartApprovalsOptions = ConnectApproverOptions &
  Required<Pick<ConnectApproverOptions, 'as'>> &
  Pick<ServeApprovalsOptions, 'decide' | 'heard'> & {
    /** Default: JSON lines of level info and above, to stderr. */
    log?: Log;
  };

/** Connects and decides until it is stopped. Throws like `connectApprover`. */
export async function startApprovals(options: StartApprovalsOptions): Promise<ApprovalService> {
  const log = options.log ?? logTo((line) => void process.stderr.write(line), 'info');
  const { as, ...parts } = await connected(options, log);
  if (as === undefined) throw new AppError('no_key', 'an approval service needs a key: name it with `as`');
  const { decide, heard } = options;
  try {
    const service = await serveApprovals({
      ...parts,
      as,
      log,
      decide,
      ...(heard === undefined ? {} : { heard }),
    });
    return {
      async stop() {
        await service.stop();
        await parts.bus.close();
      },
    };
  } catch (error) {
    await parts.bus.close();
    throw error;
  }
}
