/** A cron endpoint was asked for what there is not, or what cannot be. Nothing was done. */
export class CronRefusedError extends Error {
  override readonly name = 'CronRefusedError';
  constructor(
    readonly status: 404 | 409 | 422,
    readonly kind: 'not_found' | 'conflict' | 'invalid',
    message: string,
  ) {
    super(message);
  }
}
