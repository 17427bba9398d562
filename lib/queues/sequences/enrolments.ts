import { z } from 'zod';
import { instant } from '../../http/input/instant.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { findById, wholeId } from '../../http/input/row-id.ts';
import { nonEmptyText, storableText } from '../../http/input/storable-text.ts';
import { type Page, type PageQuery, pageQuery, readPage } from '../../http/page.ts';
import {
  type Enrolment,
  type EnrolmentWithTimeline,
  enrolmentSchema,
  enrolmentWithTimeline,
  phases,
  replySchema,
} from '../../store/conversations.ts';
import type { Rpc } from '../../store/rpc.ts';

export const enrolmentsQuery = z.strictObject({
  sequence: wholeId.optional().describe('Only enrolments of the sequence.'),
  phase: z.enum(phases).optional().describe('Only enrolments in the phase.'),
  ...pageQuery,
});

/** Reads a page of enrolments, the newest first. Throws a `StoreError`. */
export function listEnrolments(
  rpc: Rpc,
  { sequence, phase, ...page }: z.output<typeof enrolmentsQuery>,
): Promise<Page<Enrolment>> {
  return readPage(rpc, 'list_enrolments', enrolmentSchema, page, {
    p_sequence_id: sequence ?? null,
    p_phase: phase ?? null,
  });
}

/** Reads an enrolment with its timeline. Throws an `HttpError` or a `StoreError`. */
export function readEnrolment(rpc: Rpc, id: string): Promise<EnrolmentWithTimeline> {
  return findById('enrolment', id, async (p_id) =>
    enrolmentWithTimeline.parse(await rpc('read_enrolment', { p_id })),
  );
}

export const enrolmentInputs = {
  pause: z.strictObject({}),
  resume: z.strictObject({}),
  stop: z.strictObject({
    reason: storableText(500).optional().describe('Stored in the enrolment’s timeline.'),
  }),
};
export type EnrolmentAction = keyof typeof enrolmentInputs;

/** Pauses, resumes or stops an enrolment. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function changeEnrolment(
  rpc: Rpc,
  action: EnrolmentAction,
  id: string,
  body: unknown,
  by: string,
): Promise<EnrolmentWithTimeline> {
  const { reason = null } = parseInput<z.ZodType<{ reason?: string }>>(enrolmentInputs[action], body);
  const why = action === 'stop' ? { p_reason: reason } : {};
  return findById('enrolment', id, async (p_id) =>
    enrolmentWithTimeline.parse(await rpc(`${action}_enrolment`, { p_id, p_by: by, ...why })),
  );
}

export const replyInput = z
  .strictObject({
    body: storableText(10_000).optional().describe('What the person wrote.'),
    message_id: nonEmptyText(500)
      .optional()
      .describe("The provider's id of the reply. With it, a reply that is reported twice counts once."),
    said_at: instant.optional().describe('Now by default.'),
    receipt_id: wholeId.optional().describe('The receipt of a reply that belongs to no enrolment yet.'),
  })
  .refine(
    (given) => given.receipt_id === undefined || Object.keys(given).length === 1,
    'receipt_id names a stored reply: leave out all other fields',
  );

export const takenReply = z.object({ enrolment: enrolmentSchema, applied: z.boolean() });

/** Applies a person's reply to an enrolment. `applied` is false for a reply that was known. Throws an `HttpError` or a `StoreError`. */
export async function takeReply(rpc: Rpc, id: string, body: unknown): Promise<z.infer<typeof takenReply>> {
  const p_reply = parseInput(replyInput, body);
  return findById('enrolment', id, async (p_id) =>
    takenReply.parse(await rpc('take_reply', { p_id, p_reply })),
  );
}

/** Reads a page of the replies that match no enrolment, the latest first. Throws a `StoreError`. */
export function listReplies(rpc: Rpc, page: PageQuery): Promise<Page<z.infer<typeof replySchema>>> {
  return readPage(rpc, 'list_replies', replySchema, page);
}
