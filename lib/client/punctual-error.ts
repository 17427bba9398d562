/** The error of one field. `index` is the row's position in the request, from 0; null if the error concerns the whole request. */
export interface PunctualFieldError {
  index?: number | null;
  field: string;
  message: string;
}

/** Punctual refused a call, or did not respond. */
export class PunctualError extends Error {
  override readonly name = 'PunctualError';

  constructor(
    /** The HTTP status; 0 if there was no response. */
    readonly status: number,
    /** For programs: `invalid`, `not_found`, `conflict`, …; `unreachable` without a response. */
    readonly kind: string,
    message: string,
    {
      errors = [],
      retryAfterSeconds = null,
      ...options
    }: ErrorOptions & { errors?: PunctualFieldError[]; retryAfterSeconds?: number | null } = {},
  ) {
    super(message, options);
    this.errors = errors;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** One for each invalid field. */
  readonly errors: PunctualFieldError[];
  /** When another call is worthwhile; null if the server did not say. */
  readonly retryAfterSeconds: number | null;
}
