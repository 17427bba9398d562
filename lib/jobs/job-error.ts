/** An error that a job's handler throws to decide whether and when the job is retried. Without options it is an ordinary failed attempt. */
export class JobError extends Error {
  override readonly name = 'JobError';
  /** Decides the attempt's outcome in the engine. */
  readonly kind: 'rejected' | 'not_sent';
  readonly retryAfterSeconds?: number;

  constructor(
    message: string,
    {
      retry = true,
      afterSeconds,
      cause,
    }: {
      /** False fails the job at once, because a retry would not help. */
      retry?: boolean;
      /** The earliest retry. */
      afterSeconds?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause });
    this.kind = retry ? 'not_sent' : 'rejected';
    this.retryAfterSeconds = afterSeconds;
  }
}
