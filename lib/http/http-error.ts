import type { FieldError } from './field-error.ts';

/** An error with its HTTP status, a `kind` for programs and a message for people. `errorResponse` maps it to a response. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    /** Sent beside `kind` and `message`. */
    readonly extra: object = {},
  ) {
    super(message);
  }
}

export class NotFoundError extends HttpError {
  constructor(message: string) {
    super(404, 'not_found', message);
  }
}

export class ConflictError extends HttpError {
  constructor(message: string) {
    super(409, 'conflict', message);
  }
}

/** One error for each invalid field. */
export class ValidationError extends HttpError {
  constructor(
    readonly errors: (Omit<FieldError, 'index'> & { index?: FieldError['index'] })[],
    message = 'the request is invalid: correct these fields',
    status: 400 | 422 = 422,
  ) {
    super(status, 'invalid', message, { errors });
  }
}

/**
 * Maps an error of the database to the error to throw. PT404, an unknown queue or row, becomes a `NotFoundError`. PT409, a row in another state by
 * now, becomes a `ConflictError`. 22023, an invalid value of `field` or of the field that the error names, becomes a `ValidationError`. Any other
 * error is returned unchanged.
 */
export function toHttpError(error: unknown, field = ''): unknown {
  // The code identifies it, not the class: Next bundles pages and routes apart, each with a class of its own, and they share one connection.
  const { code, message, detail } = error as { code?: unknown; message: string; detail?: string | null };
  if (code === 'PT404') return new NotFoundError(message);
  if (code === 'PT409') return new ConflictError(message);
  if (code !== '22023') return error;
  // Postgres's own errors have sentences as details.
  const named = /^[a-z_]+$/.test(detail ?? '') ? detail : null;
  return new ValidationError([{ field: named ?? field, message }]);
}
