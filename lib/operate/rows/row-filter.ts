import { z } from 'zod';
import { instant } from '../../http/input/instant.ts';
import { wholeId } from '../../http/input/row-id.ts';
import { nonEmptyText } from '../../http/input/storable-text.ts';

const text = nonEmptyText(500);

/** The parts of a filter that a query string and a body share. All of them must match. */
const parts = {
  account: z.guid('must be the "id" of an account, from GET /api/accounts').optional(),
  partition: text.optional(),
  /** The addressee: `recipient` or `chat_id`. */
  to: text.optional(),
  /** An error group’s id, from GET /api/queues/:queue/errors. */
  error: z
    .string()
    .regex(/^[0-9a-f]{8}$/, 'must be the "id" of an error group')
    .optional(),
  error_kind: text.optional(),
  /** A part of the last error, or a row’s whole id. */
  text: text.optional(),
  /** From this instant on, and before this one. */
  due_from: instant.optional(),
  due_to: instant.optional(),
  created_from: instant.optional(),
  created_to: instant.optional(),
  finished_from: instant.optional(),
  finished_to: instant.optional(),
  /** The tick that claimed the row last. */
  tick: z.guid('must be the "id" of a tick').optional(),
  /** A bulk action that took the row. */
  action: wholeId.optional(),
};

const status = nonEmptyText(100);

/** A filter as query parameters. `status` takes several, separated by commas. */
export const filterQuery = {
  ...parts,
  status: nonEmptyText(500)
    .transform((names) => names.split(','))
    .optional(),
  /** `true`: only unknown rows that wait for a person. */
  decide: z.literal('true', 'must be true, or left out').transform(Boolean).optional(),
};

/** A filter as JSON. */
export const filterInput = z.strictObject({
  ...parts,
  status: z.union([status.transform((name) => [name]), z.array(status).min(1).max(6)]).optional(),
  ids: z.array(nonEmptyText(100)).min(1).max(1_000).optional(),
});

export type RowFilter = z.output<typeof filterInput> & { decide?: boolean };
