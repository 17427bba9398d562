import { z } from 'zod';
import { atMost } from '../../http/input/at-most.ts';
import { checkBy, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import { instant } from '../../http/input/instant.ts';
import { priority } from '../../http/input/priority.ts';
import { findById } from '../../http/input/row-id.ts';
import { nonEmptyText, storableText } from '../../http/input/storable-text.ts';
import type { Rpc } from '../../store/rpc.ts';
import { variableName } from './placeholders.ts';

const address = (text: string) => nonEmptyText(500).optional().describe(text);

const variables = atMost(
  50,
  z.record(
    z.string().regex(variableName, 'is not a valid variable name: use lower-case letters, digits and _'),
    // A CRM exports numbers; the message contains them as text.
    z.union([storableText(2_000), z.number().transform(String)], { error: 'is neither a text nor a number' }),
  ),
);

/** The input for one enrolment. Does not check that there is a `chat_id` or a `recipient`. */
export const enrolmentInput = z.strictObject({
  account_id: z.guid().describe('The account that writes.'),
  chat_id: address('An existing chat. Either this or `recipient` is required.'),
  recipient: address('The person: the provider’s id or a telephone number.'),
  variables: variables.default({}).describe('The values of the placeholders.'),
  time_zone: nonEmptyText(100)
    .optional()
    .describe("For the steps' hours. The sequence's by default, or else the account's."),
  start_at: instant.optional().describe("The first step's delay counts from this. Now by default."),
  priority: priority.optional().describe('The priority of the messages.'),
});

export const reachablePerson = enrolmentInput.refine(
  (person) => person.chat_id !== undefined || person.recipient !== undefined,
  {
    path: ['recipient'],
    message: 'give a chat_id, or a recipient to open a chat with',
  },
);

/** Enrols one person or up to 1,000, all or none. `again` also enrols people with an ended enrolment. Throws an `HttpError` or a `StoreError`. */
export async function enrolPeople(
  rpc: Rpc,
  sequence: string,
  body: unknown,
  again: boolean,
): Promise<{ rows: InsertedRow[] }> {
  return findById('sequence', sequence, (p_sequence_id) =>
    insertMany('person', body, checkBy(reachablePerson), (people) =>
      rpc('enrol_people', { p_sequence_id, p_people: people, p_again: again }),
    ),
  );
}
