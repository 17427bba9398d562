import type { FieldError } from './field-error';

/** A request is refused: nothing was done. `errorResponse` answers it with what a person can do. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    /** Beside kind and message in the answer. */
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

/** What is wrong in each field. */
export class ValidationError extends HttpError {
  constructor(
    readonly errors: (Omit<FieldError, 'index'> & { index?: FieldError['index'] })[],
    message = 'this cannot be',
    status: 400 | 422 = 422,
  ) {
    super(status, 'invalid', message, { errors });
  }
}

/**
 * What to throw for an error of the database: the `HttpError` where it said no to a queue or row that it does not have, to a row that has moved
 * on, or to the word in `field`; else the error itself.
 */
export function toHttpError(error: unknown, field = ''): unknown {
  // Not by its class: the page and the routes are bundled apart, each with its own, and share one connection.
  const { code, message } = error as { code?: unknown; message: string };
  if (code === 'PT404') return new NotFoundError(message);
  if (code === 'PT409') return new ConflictError(message);
  return code === '22023' ? new ValidationError([{ field, message }]) : error;
}
