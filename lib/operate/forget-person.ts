import { z } from 'zod';
import { ConflictError, toHttpError } from '../http/http-error.ts';
import { parseInput } from '../http/input/parse-input.ts';
import { nonEmptyText } from '../http/input/storable-text.ts';
import type { Rpc } from '../store/rpc.ts';

const address = nonEmptyText(500).optional();

export const personInput = z
  .strictObject({
    recipient: address.describe(
      "As in enrolments and messages: the provider's id of the person, a phone number, or a WhatsApp user id.",
    ),
    chat_id: address.describe('A chat with the person. Either this or `recipient` is required.'),
    account_id: z.guid().optional().describe('The account that knows the person; all accounts by default.'),
  })
  .refine(({ recipient, chat_id }) => recipient !== undefined || chat_id !== undefined, {
    path: ['recipient'],
    message: 'name the person: send recipient or chat_id',
  });

export const forgotten = z.object({
  deleted: z.record(z.string(), z.number()).describe('The number of deleted rows by table.'),
});

const responseSchema = z.union([
  forgotten,
  z.object({ in_flight: z.record(z.string(), z.array(z.string())) }),
]);

/**
 * Ends everything that is under way with a person and deletes their data. Returns the number of deleted rows of each kind. Throws a `ConflictError`
 * if a message to them is being sent or may have been sent: then nothing is deleted, and nothing more is sent. The history and the audit record `by`. Throws an
 * `HttpError` or a `StoreError`.
 */
export async function forgetPerson(
  rpc: Rpc,
  body: unknown,
  by: string,
): Promise<{ deleted: Record<string, number> }> {
  const { recipient = null, chat_id = null, account_id = null } = parseInput(personInput, body);
  const call = { p_account_id: account_id, p_recipient: recipient, p_chat_id: chat_id, p_by: by };
  try {
    const response = responseSchema.parse(await rpc('forget_person', call));
    if ('deleted' in response) return response;
    throw new ConflictError(conflictMessage(response.in_flight));
  } catch (error) {
    throw toHttpError(error, 'recipient');
  }
}

function conflictMessage({ unknown = [], ...others }: Record<string, string[]>): string {
  const sending = Object.values(others).flat();
  const parts = [
    sending.length > 0 && `being sent: ${sending.join(', ')} (try again in two minutes)`,
    unknown.length > 0 &&
      `which may have been sent: ${unknown.join(', ')} (try again once they are resolved, or resolve them with POST /api/dms/:id/resolve)`,
  ];
  return `Nothing was deleted yet, and nothing more will be sent. Messages ${parts.filter(Boolean).join('; ')}.`;
}
