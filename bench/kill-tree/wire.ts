/** What the drill of whole trees and its nodes say to each other. */

export interface TreeNodeOptions {
  url: string;
  prefix: string;
  name: string;
  slots: number;
  /** Effects begin this long after their calls, whatever was ordered meanwhile: the drill must find them. */
  lateMs?: number;
}

export const ROOT = 'root';
export const MIDDLE = 'middle';
export const LEAF = 'leaf';

/** A root and 200 runs below it. */
export const MIDDLES = 20;
export const LEAVES = 9;
export const DESCENDANTS = MIDDLES * (1 + LEAVES);

/** Where effects and beginnings of runs are told, beside everything of Proctor. */
export const TREE_EFFECTS = 'sink.tree.effects';
export const TREE_STARTS = 'sink.tree.starts';

/** `tree`: the user of all runs of one tree. */
export interface TreeEffect {
  tree: string;
  run: string;
  at: number;
}
