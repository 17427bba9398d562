import type { z } from 'zod';
import { fieldErrors } from './field-error';

/** Why a question about rows, or a decision on one, was refused: in words for people. */
export type RowRefusal =
  | { missing: string }
  | { conflict: string }
  | { errors: { field: string; message: string }[] };

/** What the database said no to: no such queue or row, a row that has moved on, a word that the queue does not have in `field`. */
export function rowRefusal(error: unknown, field: string): RowRefusal {
  // Not by its class: the page and the routes are bundled apart, each with its own, and share one connection.
  const { code, message } = error as { code?: unknown; message: string };
  if (code === 'PT404') return { missing: message };
  if (code === 'PT409') return { conflict: message };
  if (code === '22023') return { errors: [{ field, message }] };
  throw error;
}

export function fieldRefusal(error: z.ZodError): RowRefusal {
  return { errors: fieldErrors(error) };
}
