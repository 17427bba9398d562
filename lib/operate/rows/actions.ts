import { z } from 'zod';
import { NotFoundError, toHttpError, ValidationError } from '../../http/http-error.ts';
import { instant } from '../../http/input/instant.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { priority } from '../../http/input/priority.ts';
import { findById, rowId } from '../../http/input/row-id.ts';
import { nonEmptyText, storableText } from '../../http/input/storable-text.ts';
import { makeCursor, openCursor, type Page, type PageQuery, pageQuery, readPage } from '../../http/page.ts';
import { listedRowSchema } from '../../store/listed-row.ts';
import type { Rpc } from '../../store/rpc.ts';
import { filterInput } from './row-filter.ts';

export const actionNames = ['retry', 'retry_now', 'cancel', 'reschedule', 'prioritise', 'delete'] as const;

export const actionInput = z
  .strictObject({
    action: z.enum(actionNames, `must be one of ${actionNames.join(', ')}`).describe('See the table above.'),
    filter: filterInput
      .optional()
      .describe(
        'All rows that match: the parameters of [find rows](#find-rows) as JSON, without `decide`. Either this or `ids` is required.',
      ),
    ids: z.array(rowId).min(1).max(1_000).optional().describe('Up to 1,000 rows.'),
    dry_run: z
      .boolean()
      .default(false)
      .describe(
        '`true` returns `{ count, more, sample, left }` and changes nothing. `left` counts rows that match and would stay as they are, by reason: `may_have_been_sent`, `expired` (it would expire before it is tried), `sequence` (its sequence decides), `not_waiting` (for a retry), `still_needed` (to prove another message).',
      ),
    note: nonEmptyText(1_000).optional().describe('Stored with the action and in the history of each row.'),
    key: nonEmptyText(200).optional().describe('A repeated call with the same key returns the same action.'),
    expect: z
      .int32()
      .min(0)
      .optional()
      .describe(
        'The number of rows that you saw. If another number matches, nothing changes, and you get 409. Leave it out if the dry run says `more`.',
      ),
    first: z.int32().min(1).optional().describe('After so many rows the action waits until you continue it.'),
    due_at: instant.optional().describe('Of `reschedule`: the new due time.'),
    priority: priority.optional().describe('Of `prioritise`: 0 to 3.'),
    confirm: z
      .literal('may_send_twice', 'must be "may_send_twice", or left out')
      .optional()
      .describe('`may_send_twice` also retries messages that may have been sent.'),
  })
  .superRefine(({ action, filter, ids, due_at, priority, confirm }, context) => {
    const fault = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((filter === undefined) === (ids === undefined)) fault('filter', 'send either filter or ids');
    if ((action === 'reschedule') !== (due_at !== undefined))
      fault('due_at', 'belongs to reschedule, which needs it');
    if ((action === 'prioritise') !== (priority !== undefined))
      fault('priority', 'belongs to prioritise, which needs it');
    if (confirm && action !== 'retry') fault('confirm', 'belongs to retry');
    if (filter && Object.keys(filter).length === 0)
      fault('filter', 'is empty: name at least the status of the rows');
  });

const left = z.record(z.string(), z.object({ count: z.number(), sample: z.array(z.string()) }));

export const actionPreview = z.object({
  count: z.number().describe('Rows that would change, up to 10,000; `more`: there may be more.'),
  more: z.boolean(),
  sample: z.array(listedRowSchema),
  /** Rows that match and would stay as they are, by reason. */
  left,
});

export const actionSchema = z.object({
  id: z.string(),
  queue: z.string(),
  action: z.enum(actionNames),
  arguments: z.record(z.string(), z.unknown()),
  filter: z.record(z.string(), z.unknown()),
  by: z.string(),
  note: z.string().nullable(),
  state: z.enum(['collecting', 'running', 'waiting', 'done', 'stopped']),
  reason: z.string().nullable().describe('Why it waits or stopped.'),
  total: z.number(),
  written: z.number(),
  skipped: z.number().describe('Rows that had changed since, or could not be written.'),
  created_at: z.string(),
  finished_at: z.string().nullable(),
});

export const actionDetails = actionSchema.extend({
  now: z.record(z.string(), z.number()).describe('The states of the rows that it wrote, as they are now.'),
  skips: z.array(z.object({ reason: z.string(), count: z.number() })),
});

export type Action = z.infer<typeof actionSchema>;
export type ActionDetails = z.infer<typeof actionDetails>;
export type ActionPreview = z.infer<typeof actionPreview>;

/** Starts an action on rows of a queue. Says what it would do for a dry run, and if no row is there to change. Throws an `HttpError` or a `StoreError`. */
export async function startAction(
  rpc: Rpc,
  queue: string,
  body: unknown,
  by: string,
): Promise<ActionPreview | Action> {
  const {
    action,
    filter,
    ids,
    dry_run,
    note = null,
    key = null,
    expect = null,
    ...options
  } = parseInput(actionInput, body);
  const started = await atEdge(() =>
    rpc('start_action', {
      p_queue: queue,
      p_action: action,
      p_filter: ids ? { ids } : filter,
      p_arguments: options,
      p_by: by,
      p_note: note,
      p_key: key,
      p_dry_run: dry_run,
      p_expect: expect,
    }),
  );
  return z.union([actionSchema, actionPreview]).parse(started);
}

/** Reads an action with what became of its rows. Throws an `HttpError` or a `StoreError`. */
export function readAction(rpc: Rpc, id: string): Promise<ActionDetails> {
  return findById('action', id, async (p_id) => {
    const action = actionDetails.nullable().parse(await rpc('read_action', { p_id }));
    if (action) return action;
    throw new NotFoundError(`there is no action ${p_id}`);
  });
}

const proofSchema = z.object({
  rows: z.number(),
  verdicts: z
    .record(z.string(), z.number())
    .describe("How many rows have each verdict of a row's story: see docs/delivery.md."),
  next: z.array(z.string()).nullable(),
});

export const proofQuery = z.strictObject({ cursor: pageQuery.cursor });

export const actionProof = proofSchema.extend({
  next: z.string().nullable().describe('The `cursor` for the other rows; null at the end.'),
});

export type ActionProof = z.infer<typeof actionProof>;

/** Says what the evidence shows of up to 500 rows that an action wrote. Throws an `HttpError` or a `StoreError`. */
export function proveAction(rpc: Rpc, id: string, cursor?: PageQuery['cursor']): Promise<ActionProof> {
  return findById('action', id, async (p_id) => {
    const list = ['prove_action', p_id];
    const { next, ...proof } = proofSchema.parse(
      await rpc('prove_action', { p_id, p_cursor: openCursor(list, cursor) }),
    );
    return { ...proof, next: next && makeCursor(list, next) };
  });
}

export const actionsQuery = z.strictObject({
  queue: storableText(100).optional().describe('Only actions on the queue.'),
  ...pageQuery,
});

/** Reads a page of the actions, the latest first. Throws a `StoreError`. */
export function listActions(
  rpc: Rpc,
  { queue, ...page }: z.output<typeof actionsQuery>,
): Promise<Page<Action>> {
  return readPage(rpc, 'list_actions', actionSchema, page, { p_queue: queue ?? null });
}

/** Stops an action, or continues one that waits or was stopped. Throws an `HttpError` or a `StoreError`. */
export function steerAction(rpc: Rpc, id: string, verb: 'stop' | 'continue', by: string): Promise<Action> {
  return findById('action', id, async (p_id) =>
    actionSchema.parse(await rpc(`${verb}_action`, { p_id, p_by: by })),
  );
}

/** Runs steps of an action until it ends or `limitMs` is over. The ticks of its queue run the rest. Throws a `StoreError`. */
export async function runAction(
  rpc: Rpc,
  id: string,
  limitMs: number,
  now = () => performance.now(),
): Promise<void> {
  const endsAt = now() + limitMs;
  let handled = -1;
  while (now() < endsAt) {
    const step = actionSchema.nullable().parse(await rpc('run_action', { p_id: id }));
    if (step?.state !== 'collecting' && step?.state !== 'running') return;
    // It still takes ids, each time from further rows.
    if (step.state === 'collecting') continue;
    // Other sessions have locked the rows that are left.
    if (step.written + step.skipped === handled) return;
    handled = step.written + step.skipped;
  }
}

async function atEdge<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const mapped = toHttpError(error, 'filter');
    throw mapped instanceof ValidationError && mapped.errors[0]?.field === 'status'
      ? new ValidationError(mapped.errors.map((one) => ({ ...one, field: 'filter.status' })))
      : mapped;
  }
}
