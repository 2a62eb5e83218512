import type { Clock } from '../../ports/clock.ts';
import { calculateTool } from './calculate.ts';
import { ConfinedRoot } from './confined-root.ts';
import { currentTimeTool } from './current-time.ts';
import { httpFetchTool } from './http-fetch.ts';
import { jsonQueryTool } from './json-query.ts';
import { listFilesTool } from './list-files.ts';
import type { LocalTool } from './local-tool.ts';
import { readFileTool } from './read-file.ts';
import { searchFilesTool } from './search-files.ts';
import { writeFileTool } from './write-file.ts';

export interface ToolboxOptions {
  /** The folder that all file tools are confined to. It must exist when a tool is called, not before. */
  root: string;
  /** Hosts that http_fetch may reach, see `AllowList`; nothing by default. */
  allowHosts: string[];
  clock: Clock;
}

/** The tools that come with Proctor. Throws AppError `bad_allow_list` on a host entry that is none. */
export function createToolbox({ root, allowHosts, clock }: ToolboxOptions): LocalTool[] {
  const files = new ConfinedRoot(root);
  return [
    httpFetchTool({ allowHosts, clock }),
    readFileTool(files),
    listFilesTool(files),
    searchFilesTool(files, clock),
    writeFileTool(files),
    calculateTool(),
    jsonQueryTool(clock),
    currentTimeTool(clock),
  ];
}
