/** Time as an input. `now. is the NATS server's time, whole epoch milliseconds, as well as this process knows it. */
export interface Clock {
  now(): number;
  /** Runs `action` once, `ms` from now, unless cancelled first. Delays of any length are kept. */
  after(ms: number, action: () => void): Cancel;
}

export type Cancel = () => void;
