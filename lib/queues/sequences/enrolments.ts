import { z } from 'zod';
import { instant } from '../../http/input/instant';
import { parseInput } from '../../http/input/parse-input';
import { findById, wholeId } from '../../http/input/row-id';
import { nonEmptyText, storableText } from '../../http/input/storable-text';
import { type Page, type PageQuery, pageQuery, readPage } from '../../http/page';
import {
  type Enrolment,
  type EnrolmentWithTimeline,
  enrolmentSchema,
  enrolmentWithTimeline,
  phases,
  replySchema,
} from '../../store/conversations';
import type { Rpc } from '../../store/rpc';

/** Of one sequence, in one phase. */
export const enrolmentsQuery = z.strictObject({
  sequence: wholeId.optional(),
  phase: z.enum(phases).optional(),
  ...pageQuery,
});

/** A page of them, the newest first. Throws a `StoreError`. */
export function listEnrolments(
  rpc: Rpc,
  { sequence, phase, ...page }: z.output<typeof enrolmentsQuery>,
): Promise<Page<Enrolment>> {
  return readPage(rpc, 'list_enrolments', enrolmentSchema, page, {
    p_sequence_id: sequence ?? null,
    p_phase: phase ?? null,
  });
}

/** Throws an `HttpError` or a `StoreError`. */
export function readEnrolment(rpc: Rpc, id: string): Promise<EnrolmentWithTimeline> {
  return findById('enrolment', id, async (p_id) =>
    enrolmentWithTimeline.parse(await rpc('read_enrolment', { p_id })),
  );
}

const bodies = {
  pause: z.strictObject({}),
  resume: z.strictObject({}),
  stop: z.strictObject({ reason: storableText(500).optional() }),
};
export type Doing = keyof typeof bodies;

/** Pauses, resumes or stops it. `by` says who, for the timeline. Throws an `HttpError` or a `StoreError`. */
export async function changeEnrolment(
  rpc: Rpc,
  doing: Doing,
  id: string,
  body: unknown,
  by: string,
): Promise<EnrolmentWithTimeline> {
  const { reason = null } = parseInput<z.ZodType<{ reason?: string }>>(bodies[doing], body);
  const more = doing === 'stop' ? { p_reason: reason, p_by: by } : {};
  return findById('enrolment', id, async (p_id) =>
    enrolmentWithTimeline.parse(await rpc(`${doing}_enrolment`, { p_id, ...more })),
  );
}

const reply = z
  .strictObject({
    body: storableText(10_000).optional(),
    /** The provider's: with it a reply that is told twice is one. */
    message_id: nonEmptyText(500).optional(),
    /** Now, if not given. */
    said_at: instant.optional(),
    /** One of the replies that are nobody's yet. */
    receipt_id: wholeId.optional(),
  })
  .refine(
    (told) => told.receipt_id === undefined || Object.keys(told).length === 1,
    'with receipt_id nothing else is told: the reply is there already',
  );

const taken = z.object({ enrolment: enrolmentSchema, applied: z.boolean() });

/** What the person answered; `applied` says whether that was news. Throws an `HttpError` or a `StoreError`. */
export async function takeReply(rpc: Rpc, id: string, body: unknown): Promise<z.infer<typeof taken>> {
  const p_reply = parseInput(reply, body);
  return findById('enrolment', id, async (p_id) => taken.parse(await rpc('take_reply', { p_id, p_reply })));
}

/** A page of what people wrote that is nobody's as far as is known, the latest first. Throws a `StoreError`. */
export function listReplies(rpc: Rpc, page: PageQuery): Promise<Page<z.infer<typeof replySchema>>> {
  return readPage(rpc, 'list_replies', replySchema, page);
}
