/** Somebody wants the process to end: nothing more is started, and what is under way has the rest of `graceMs`. */
export interface StopSignal {
  signal: AbortSignal;
  /** From the signal until the process is ended by force. */
  graceMs: number;
}
