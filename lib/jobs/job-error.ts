/** Thrown by a job's handler to say what is to become of the job. Without one of the options it is any failed attempt. */
export class JobError extends Error {
  override readonly name = 'JobError';
  /** What the engine goes by. */
  readonly kind: 'rejected' | 'not_sent';
  readonly retryAfterSeconds?: number;

  constructor(
    message: string,
    {
      retry = true,
      afterSeconds,
      cause,
    }: {
      /** False: trying again would not help, and the job is failed at once. */
      retry?: boolean;
      /** Not tried again before this. */
      afterSeconds?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause });
    this.kind = retry ? 'not_sent' : 'rejected';
    this.retryAfterSeconds = afterSeconds;
  }
}
