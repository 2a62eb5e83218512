/** How many calls may run at once. */
export class Room {
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get full(): boolean {
    return this.#used >= this.limit;
  }

  enter(): void {
    this.#used++;
  }

  leave(): void {
    this.#used--;
  }
}
