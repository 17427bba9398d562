/** The process is to end: nothing more starts, and what runs has the rest of `graceMs`. */
export interface StopSignal {
  signal: AbortSignal;
  /** From the signal until the process is killed. */
  graceMs: number;
}
