import type { FieldError } from '../../http/field-error.ts';

/** The input of a new job is invalid. Nothing was created. */
export class JobInputError extends Error {
  override readonly name = 'JobInputError';
  readonly kind = 'invalid';

  constructor(readonly faults: FieldError[]) {
    super(
      faults
        .map(({ index, field, message }) =>
          [index === null ? '' : `job ${index}`, field, message].filter((part) => part !== '').join(': '),
        )
        .join('; '),
    );
  }
}
