/**
 * An immutable map from whole numbers to values, in ascending order: a radix tree of 32 branches a level. One change
 * copies one node a level, so a supervisor with ten thousand children changes one of them in microseconds and the value
 * from before stays valid. Empty nodes vanish: the size follows what is in it, not the highest number ever used.
 */

const WIDTH = 32;

type Node<T> = readonly (Node<T> | T | undefined)[];

export class Slots<T extends object> {
  readonly size: number;
  /** Levels below the root; a tree of depth 0 holds the numbers 0 to 31. */
  private readonly depth: number;
  private readonly root: Node<T> | null;

  private constructor(root: Node<T> | null, depth: number, size: number) {
    this.root = root;
    this.depth = depth;
    this.size = size;
  }

  static empty<T extends object>(): Slots<T> {
    return new Slots<T>(null, 0, 0);
  }

  get(slot: number): T | undefined {
    if (!isSlot(slot) || this.root === null || slot >= WIDTH ** (this.depth + 1)) return undefined;
    let node: Node<T> = this.root;
    for (let level = this.depth; level > 0; level--) {
      const next = node[digit(slot, level)] as Node<T> | undefined;
      if (next === undefined) return undefined;
      node = next;
    }
    return node[digit(slot, 0)] as T | undefined;
  }

  /** @param slot a whole number from 0; throws a RangeError on anything else */
  set(slot: number, value: T): Slots<T> {
    if (!isSlot(slot)) throw new RangeError(`not a slot: ${slot}`);
    let { root, depth } = this;
    while (slot >= WIDTH ** (depth + 1)) {
      root = root === null ? null : [root];
      depth += 1;
    }
    const added = this.get(slot) === undefined ? 1 : 0;
    return new Slots(put(root ?? [], depth, slot, value), depth, this.size + added);
  }

  delete(slot: number): Slots<T> {
    if (this.root === null || this.get(slot) === undefined) return this;
    const root = put(this.root, this.depth, slot, undefined);
    return root.length === 0 ? Slots.empty() : new Slots<T>(root, this.depth, this.size - 1);
  }

  /** Lowest number first. */
  values(): T[] {
    const found: T[] = [];
    if (this.root !== null) collect(this.root, this.depth, found);
    return found;
  }

  /** The value with the lowest number. */
  first(): T | undefined {
    let node: Node<T> | T | undefined = this.root ?? undefined;
    for (let level = this.depth; node !== undefined && level >= 0; level--) {
      node = (node as Node<T>).find((entry) => entry !== undefined);
    }
    return node as T | undefined;
  }
}

function isSlot(slot: number): boolean {
  return Number.isSafeInteger(slot) && slot >= 0;
}

function digit(slot: number, level: number): number {
  return Math.floor(slot / WIDTH ** level) % WIDTH;
}

/** A copy of `node` with the change; a node without entries is an empty array. */
function put<T extends object>(node: Node<T>, level: number, slot: number, value: T | undefined): Node<T> {
  const at = digit(slot, level);
  const copy = Array.from(node);
  if (level === 0) copy[at] = value;
  else {
    const below = put((node[at] as Node<T> | undefined) ?? [], level - 1, slot, value);
    copy[at] = below.length === 0 ? undefined : below;
  }
  return copy.some((entry) => entry !== undefined) ? copy : [];
}

function collect<T extends object>(node: Node<T>, level: number, into: T[]): void {
  for (const entry of node) {
    if (entry === undefined) continue;
    if (level === 0) into.push(entry as T);
    else collect(entry as Node<T>, level - 1, into);
  }
}
