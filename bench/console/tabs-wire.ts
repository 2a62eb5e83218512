/** What the process that plays the tabs is told, and what it says. */

export interface TabsOptions {
  /** Of the gateway. */
  url: string;
  tabs: number;
}

/** Each tab looks at one run, those beyond them at none. It answers `watching`, when the gateway knows it. */
export interface WatchRuns {
  watch: string[];
}

/** It answers `frames N`: frames that came down since it was told what to look at. */
export interface AskFrames {
  frames: true;
}
