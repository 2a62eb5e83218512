import type { LogLevel } from '../app/local.ts';

export interface ConsoleCommandOptions {
  dir: string;
  prefix?: string;
  host: string;
  port?: number;
  tokenFile?: string;
  proxyHeader?: string;
  proxyFrom?: string[];
  publicUrl?: URL;
  file?: string;
  logLevel?: LogLevel;
  json?: boolean;
}
