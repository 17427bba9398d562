import { z } from 'zod';
import { ConflictError, toHttpError } from '../http/http-error';
import { parseInput } from '../http/input/parse-input';
import { nonEmptyText } from '../http/input/storable-text';
import type { Rpc } from '../store/rpc';

const address = nonEmptyText(500).optional();

const asked = z
  .strictObject({
    /** As in enrolments and messages: the provider's id of the person, a telephone number, a WhatsApp user id. */
    recipient: address,
    chat_id: address,
    /** The account that knows the person; all of them if not given. */
    account_id: z.guid().optional(),
  })
  .refine(({ recipient, chat_id }) => recipient !== undefined || chat_id !== undefined, {
    path: ['recipient'],
    message: 'say who it is: give the recipient, or a chat_id',
  });

const answer = z.union([
  z.object({ deleted: z.record(z.string(), z.number()) }),
  z.object({ in_flight: z.record(z.string(), z.array(z.string())) }),
]);

/**
 * Ends what is under way with a person, and deletes what is known of them: how many rows of each kind. A conflict where a message is being
 * sent, or may have been: then nothing is deleted, and nothing more is sent. `by` says who, for the history. Throws an `HttpError` or a `StoreError`.
 */
export async function forgetPerson(
  rpc: Rpc,
  body: unknown,
  by: string,
): Promise<{ deleted: Record<string, number> }> {
  const { recipient = null, chat_id = null, account_id = null } = parseInput(asked, body);
  const call = { p_account_id: account_id, p_recipient: recipient, p_chat_id: chat_id, p_by: by };
  try {
    const told = answer.parse(await rpc('forget_person', call));
    if ('deleted' in told) return told;
    throw new ConflictError(conflictOf(told.in_flight));
  } catch (error) {
    throw toHttpError(error, 'recipient');
  }
}

function conflictOf({ unknown = [], ...others }: Record<string, string[]>): string {
  const sending = Object.values(others).flat();
  const parts = [
    sending.length > 0 && `being sent: ${sending.join(', ')} (ask again in two minutes)`,
    unknown.length > 0 &&
      `perhaps sent: ${unknown.join(', ')} (ask again when that is found out, or decide with POST /api/dms/:id/resolve)`,
  ];
  return `Nothing was deleted yet, and nothing more will be sent. Messages ${parts.filter(Boolean).join('; ')}.`;
}
