import { z } from 'zod';
import { storableText } from '../../http/input/storable-text';
import { askOf } from '../../http/input/whole-id';
import { type Page, type PageQuery, readPage } from '../../http/page';
import { fieldRefusal, type RowRefusal } from '../../http/row-refusal';
import { previewSchema, type Sequence, sequenceSchema } from '../../store/conversations';
import type { Rpc } from '../../store/rpc';
import { newEnrolment } from './new-enrolments';
import { type Channel, sequenceSteps } from './sequence-steps';

const name = storableText(200).refine((text) => text.trim() !== '', 'is empty');
/** Whether there is one of that name is for the database to say. */
const timeZone = storableText(100).min(1, 'is empty').nullable();

const newSequence = (channel: Channel) =>
  z.strictObject({
    name,
    channel: z.enum(['linkedin', 'whatsapp']),
    time_zone: timeZone.default(null),
    steps: sequenceSteps(channel),
  });

const changes = (channel: Channel) =>
  z.strictObject({
    name: name.optional(),
    time_zone: timeZone.optional(),
    steps: sequenceSteps(channel).optional(),
  });

const faults = z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) });
const stored = z.union([faults, sequenceSchema.transform((sequence) => ({ sequence }))]);
const previewed = z.union([faults, previewSchema.transform((preview) => ({ preview }))]);

/** A page of them, the newest first. Throws a `StoreError`. */
export function listSequences(rpc: Rpc, page: PageQuery): Promise<Page<Sequence> | RowRefusal> {
  return readPage(rpc, 'list_sequences', sequenceSchema, page);
}

/** Throws a `StoreError`. */
export async function createSequence(rpc: Rpc, body: unknown): Promise<{ sequence: Sequence } | RowRefusal> {
  const parsed = newSequence(channelOf(body)).safeParse(body);
  if (!parsed.success) return fieldRefusal(parsed.error);
  return stored.parse(await rpc('create_sequence', { p_sequence: parsed.data }));
}

/** Throws a `StoreError`. */
export function readSequence(rpc: Rpc, id: string): Promise<{ sequence: Sequence } | RowRefusal> {
  return askOf('sequence', id, async (p_id) => stored.parse(await rpc('read_sequence', { p_id })));
}

/** Changes what is named; new steps are for those who are enrolled from now on. Throws a `StoreError`. */
export async function editSequence(
  rpc: Rpc,
  id: string,
  body: unknown,
): Promise<{ sequence: Sequence } | RowRefusal> {
  return askOf('sequence', id, async (p_id) => {
    const { channel } = sequenceSchema.parse(await rpc('read_sequence', { p_id }));
    const schema = changes(channel);
    const parsed = schema.safeParse(body);
    if (!parsed.success) return fieldRefusal(parsed.error);
    if (Object.keys(parsed.data).length === 0) {
      const message = `name what is to change: ${Object.keys(schema.shape).join(', ')}`;
      return { errors: [{ field: '', message }] };
    }
    return stored.parse(await rpc('update_sequence', { p_id, p_changes: parsed.data }));
  });
}

const previewedPerson = newEnrolment.pick({
  account_id: true,
  variables: true,
  time_zone: true,
  start_at: true,
});

/** What a person would get, and about when. Throws a `StoreError`. */
export async function previewSequence(
  rpc: Rpc,
  id: string,
  body: unknown,
): Promise<{ preview: z.infer<typeof previewSchema> } | RowRefusal> {
  const parsed = previewedPerson.safeParse(body);
  if (!parsed.success) return fieldRefusal(parsed.error);
  return askOf('sequence', id, async (p_sequence_id) =>
    previewed.parse(await rpc('preview_sequence', { p_sequence_id, p_person: parsed.data })),
  );
}

/** The limits of a text are its channel's; where that is none, it is what is wrong. */
function channelOf(body: unknown): Channel {
  return (body as { channel?: unknown } | null)?.channel === 'whatsapp' ? 'whatsapp' : 'linkedin';
}
