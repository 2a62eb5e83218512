/** What the drill of parked runs and its nodes say to each other. */

export interface ParkedNodeOptions {
  url: string;
  prefix: string;
  name: string;
  slots: number;
}

/** Its model asks a person, whatever it is told. */
export const AGENT = 'asker';
