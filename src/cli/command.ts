import type { Command } from 'commander';
import { DEFAULT_DIR, type Place } from './connect.ts';
import { EXIT_HELP } from './failure.ts';

/** What all commands share: where the server is, `--json`, and help that ends with examples. */

export interface CommonOptions extends Place {
  json?: boolean;
}

export interface CommandTexts {
  summary: string;
  description?: string;
  /** Lines of examples, without the leading `$`. */
  examples: string[];
  /** Done when the command above it is called without a sub-command. */
  isDefault?: boolean;
}

/** A sub-command; `spec` is name and arguments as commander reads them. */
export function addCommand(parent: Command, spec: string, texts: CommandTexts): Command {
  return parent
    .command(spec, { isDefault: texts.isDefault ?? false })
    .summary(texts.summary)
    .description(texts.description ?? texts.summary)
    .addHelpText('after', `\nExamples:\n${texts.examples.map((one) => `  $ ${one}`).join('\n')}\n\n${EXIT_HELP}`);
}

/** A command that talks to a running Proctor. */
export function addRemoteCommand(parent: Command, spec: string, texts: CommandTexts): Command {
  return addCommand(parent, spec, texts)
    .option('--dir <folder>', 'data folder of the Proctor to talk to; NATS_URL comes before it', DEFAULT_DIR)
    .option('--prefix <name>', 'first token of all subjects (default: what the folder says, else proctor)')
    .option('--json', 'print JSON');
}

/** A command that changes something: the journal says who gave the order. */
export function addOrder(parent: Command, spec: string, texts: CommandTexts): Command {
  return addRemoteCommand(parent, spec, texts)
    .option('--why <text>', 'reason, kept in the journal', '')
    .option('--by <name>', 'who gives the order (default: your user name)');
}

export interface OrderOptions extends CommonOptions {
  why: string;
  by?: string;
}
