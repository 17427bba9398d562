import { z } from 'zod';
import { atMost } from '../../http/input/at-most';
import { checkBy, type InsertedRow, insertMany } from '../../http/input/insert-many';
import { instant } from '../../http/input/instant';
import { priority } from '../../http/input/priority';
import { findById } from '../../http/input/row-id';
import { nonEmptyText, storableText } from '../../http/input/storable-text';
import type { Rpc } from '../../store/rpc';
import { variableName } from './placeholders';

const address = nonEmptyText(500).optional();

const variables = atMost(
  50,
  z.record(
    z.string().regex(variableName, 'is no name of a variable: lower-case letters, digits and _'),
    // Numbers of a CRM are text to whoever reads the message.
    z.union([storableText(2_000), z.number().transform(String)], { error: 'is neither a text nor a number' }),
  ),
);

/** A person who is to be in a sequence, as far as one alone can be judged. */
export const newEnrolment = z.strictObject({
  account_id: z.guid(),
  chat_id: address,
  recipient: address,
  /** What stands for the placeholders. */
  variables: variables.default({}),
  /** Of the steps' hours; the sequence's if not given, else the account's. */
  time_zone: nonEmptyText(100).optional(),
  /** What the first step's delay is counted from; now if not given. */
  start_at: instant.optional(),
  /** Of the messages. */
  priority: priority.optional(),
});

const reachable = newEnrolment.refine(
  (person) => person.chat_id !== undefined || person.recipient !== undefined,
  {
    path: ['recipient'],
    message: 'give a chat_id, or a recipient to open a chat with',
  },
);

/** Enrols one person or up to 1,000, all or none. `again`: those anew whose enrolment is over. Throws an `HttpError` or a `StoreError`. */
export async function enrolPeople(
  rpc: Rpc,
  sequence: string,
  body: unknown,
  again: boolean,
): Promise<{ rows: InsertedRow[] }> {
  return findById('sequence', sequence, (p_sequence_id) =>
    insertMany('person', body, checkBy(reachable), (people) =>
      rpc('enrol_people', { p_sequence_id, p_people: people, p_again: again }),
    ),
  );
}
