import type { LogLevel } from '../app/local.ts';
import type { CommonOptions } from './command.ts';

export interface WorkerOptions extends CommonOptions {
  logLevel?: LogLevel;
}
