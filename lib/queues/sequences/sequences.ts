import { z } from 'zod';
import { parseChanges, parseInput, parseStored } from '../../http/input/parse-input.ts';
import { findById } from '../../http/input/row-id.ts';
import { nonBlankText, nonEmptyText } from '../../http/input/storable-text.ts';
import { type Page, type PageQuery, readPage } from '../../http/page.ts';
import { type Channel, channels } from '../../providers/body-limits.ts';
import { previewSchema, type Sequence, sequenceSchema } from '../../store/conversations.ts';
import type { Rpc } from '../../store/rpc.ts';
import { enrolmentInput } from './new-enrolments.ts';
import { sequenceSteps } from './sequence-steps.ts';

const name = nonBlankText(200);
/** The database checks that the time zone exists. */
const timeZone = nonEmptyText(100).nullable();

export const sequenceInput = (channel: Channel) =>
  z.strictObject({
    name,
    channel: z.enum(channels).describe('Over which its messages go.'),
    time_zone: timeZone.default(null).describe('For the steps’ hours; null is the account’s.'),
    steps: sequenceSteps(channel).describe('1 to 50 [steps](sequences.md).'),
  });

export const sequenceChanges = (channel: Channel) =>
  z.strictObject({
    name: name.optional(),
    time_zone: timeZone.optional(),
    steps: sequenceSteps(channel).optional().describe('1 to 50 [steps](sequences.md).'),
  });

/** Reads a page of sequences, the newest first. Throws a `StoreError`. */
export function listSequences(rpc: Rpc, page: PageQuery): Promise<Page<Sequence>> {
  return readPage(rpc, 'list_sequences', sequenceSchema, page);
}

/** Creates a sequence. The audit records `by`. Throws a `ValidationError` or a `StoreError`. */
export async function createSequence(rpc: Rpc, body: unknown, by: string): Promise<Sequence> {
  const p_sequence = parseInput(sequenceInput(channelOf(body)), body);
  return parseStored(sequenceSchema, await rpc('create_sequence', { p_sequence, p_by: by }));
}

/** Reads a sequence. Throws an `HttpError` or a `StoreError`. */
export function readSequence(rpc: Rpc, id: string): Promise<Sequence> {
  return findById('sequence', id, async (p_id) => sequenceSchema.parse(await rpc('read_sequence', { p_id })));
}

/** Changes the given fields. New steps apply to later enrolments only. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function editSequence(rpc: Rpc, id: string, body: unknown, by: string): Promise<Sequence> {
  return findById('sequence', id, async (p_id) => {
    const { channel } = sequenceSchema.parse(await rpc('read_sequence', { p_id }));
    const p_changes = parseChanges(sequenceChanges(channel), body);
    return parseStored(sequenceSchema, await rpc('update_sequence', { p_id, p_changes, p_by: by }));
  });
}

export const previewInput = enrolmentInput.pick({
  account_id: true,
  variables: true,
  time_zone: true,
  start_at: true,
});

/** Previews the messages that a person would get, and about when. Throws an `HttpError` or a `StoreError`. */
export async function previewSequence(
  rpc: Rpc,
  id: string,
  body: unknown,
): Promise<z.infer<typeof previewSchema>> {
  const p_person = parseInput(previewInput, body);
  return findById('sequence', id, async (p_sequence_id) =>
    parseStored(previewSchema, await rpc('preview_sequence', { p_sequence_id, p_person })),
  );
}

/** The channel decides the longest text. An invalid channel counts as LinkedIn here, and the schema reports it. */
function channelOf(body: unknown): Channel {
  return (body as { channel?: unknown } | null)?.channel === 'whatsapp' ? 'whatsapp' : 'linkedin';
}
