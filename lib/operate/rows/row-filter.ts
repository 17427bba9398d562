import { z } from 'zod';
import { instant } from '../../http/input/instant.ts';
import { wholeId } from '../../http/input/row-id.ts';
import { nonEmptyText } from '../../http/input/storable-text.ts';

const text = nonEmptyText(500);

/** The parts of a filter that a query string and a body share. All of them must match. */
const parts = {
  account: z
    .guid('must be the "id" of an account, from GET /api/accounts')
    .optional()
    .describe('Rows of the account, by its id.'),
  partition: text.optional().describe('Rows of the partition.'),
  to: text.optional().describe('Rows to the addressee (`recipient` or `chat_id`).'),
  error: z
    .string()
    .regex(/^[0-9a-f]{8}$/, 'must be the "id" of an error group')
    .optional()
    .describe('Rows of an [error group](operating.md#1-messages-failed), by its id.'),
  error_kind: text.optional().describe('Rows with an error of this kind.'),
  text: text.optional().describe('Rows whose last error contains the text, or whose id it is.'),
  due_from: instant.optional().describe('Rows due from this instant on.'),
  due_to: instant.optional().describe('Rows due before this instant.'),
  created_from: instant.optional().describe('Rows created from this instant on.'),
  created_to: instant.optional().describe('Rows created before this instant.'),
  finished_from: instant.optional().describe('Rows settled from this instant on.'),
  finished_to: instant.optional().describe('Rows settled before this instant.'),
  tick: z.guid('must be the "id" of a tick').optional().describe('Rows that the tick claimed last.'),
  action: wholeId.optional().describe('Rows that the [action](#change-many-rows) took.'),
};

const status = nonEmptyText(100);

/** A filter as query parameters. `status` takes several, separated by commas. */
export const filterQuery = {
  ...parts,
  status: nonEmptyText(500)
    .transform((names) => names.split(','))
    .optional()
    .describe('Rows in these states, separated by commas; all by default.'),
  decide: z
    .literal('true', 'must be true, or left out')
    .transform(Boolean)
    .optional()
    .describe('`true`: rows that are unknown and wait for a person.'),
};

/** A filter as JSON. */
export const filterInput = z.strictObject({
  ...parts,
  status: z
    .union([status.transform((name) => [name]), z.array(status).min(1).max(6)])
    .optional()
    .describe('Rows in this state, or in one of these.'),
  ids: z.array(nonEmptyText(100)).min(1).max(1_000).optional(),
});

export type RowFilter = z.output<typeof filterInput> & { decide?: boolean };
