import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http/http-error.ts';
import { instant } from '../http/input/instant.ts';
import { parseChanges, parseInput, parseStored } from '../http/input/parse-input.ts';
import { queueName } from '../http/input/row-id.ts';
import { nonBlankText, storableText } from '../http/input/storable-text.ts';
import type { Rpc } from '../store/rpc.ts';
import { actSchema } from './audit.ts';

/** 1 or more, up to the most that Postgres can store. */
const positive = (max = 2_147_483_647) => z.int().min(1).max(max);
const note = storableText(1_000).optional().describe('Stored in the audit.');

/** Settings that a queue and each of its partitions have: docs/settings.md says what each means. */
const shared = {
  batch_limit: positive().nullable(),
  concurrency: positive(1_000),
  adaptive: z.boolean(),
  budget_seconds: positive().nullable(),
  max_ticks: positive(100),
  timeout_seconds: positive(785),
};

const queueSettings = z.strictObject({
  ...shared,
  max_continuations: z.int().min(0).max(1_000),
  lease_seconds: z.int32().min(31),
  max_attempts: positive(1_000_000),
  backoff_base_seconds: positive(),
  backoff_cap_seconds: positive(),
  retention_days: positive(36_500).nullable(),
});

const settingsInput = queueSettings.partial().extend({ note });

/** A setting that is null is the queue's. */
const partitionSettings = z.strictObject({
  ...shared,
  concurrency: shared.concurrency.nullable(),
  adaptive: shared.adaptive.nullable(),
  max_ticks: shared.max_ticks.nullable(),
  timeout_seconds: shared.timeout_seconds.nullable(),
  max_running: positive()
    .nullable()
    .describe('Rows that run at once, whatever the number of ticks. 1 makes the partition blocking.'),
});

const partitionSettingsInput = partitionSettings.partial().extend({ note });

/** The body that changes settings. */
export const anySettingsInput = z.union([settingsInput, partitionSettingsInput]);

const pause = {
  paused_at: z.string().nullable(),
  paused_until: z.string().nullable().describe('Null if the pause lasts until somebody resumes.'),
  paused_reason: z.string().nullable(),
};

export const listedQueue = z.object({
  name: z.string(),
  delivery: z.enum(['at-most-once', 'at-least-once']),
  settings: z.object(queueSettings.shape),
  ...pause,
});

export const queueWithPartitions = listedQueue.extend({
  partitions: z.array(z.object({ name: z.string(), settings: z.object(partitionSettings.shape), ...pause })),
  acts: z.array(actSchema).describe('The last ten acts on the queue, the latest first.'),
});

export const changedQueue = z.object({
  queue: z.string(),
  partition: z.string().nullable().describe('Null for the queue itself.'),
  settings: z.union([z.object(queueSettings.shape), z.object(partitionSettings.shape)]),
  ...pause,
});

export type QueueSettings = z.infer<typeof queueWithPartitions>;
export type ChangedQueue = z.infer<typeof changedQueue>;

const partition = storableText(200)
  .min(1, 'is empty')
  .optional()
  .describe("One of the queue's partitions; without it, the queue itself.");
export const settingsQuery = z.strictObject({ partition });

/** Lists all queues with their settings and pauses. Throws a `StoreError`. */
export async function listQueues(rpc: Rpc): Promise<z.infer<typeof listedQueue>[]> {
  return z.array(listedQueue).parse(await rpc('list_queues', {}));
}

/** Reads the settings and pauses of a queue and its partitions, and the last acts on it. Throws an `HttpError` or a `StoreError`. */
export function readQueueSettings(rpc: Rpc, queue: string): Promise<QueueSettings> {
  return findQueueNamed(queue, async (p_queue) =>
    queueWithPartitions.parse(await rpc('read_queue_settings', { p_queue })),
  );
}

/**
 * Changes the given settings of a queue, or of one of its partitions. The next exchange obeys. The audit records `by` and what differs. Throws an
 * `HttpError` or a `StoreError`.
 */
export function changeSettings(
  rpc: Rpc,
  queue: string,
  partitionName: string | undefined,
  body: unknown,
  by: string,
): Promise<ChangedQueue> {
  const schema: z.ZodObject = partitionName === undefined ? settingsInput : partitionSettingsInput;
  const { note: p_note = null, ...settings } = parseInput(schema, body);
  const p_settings = parseChanges(schema.omit({ note: true }), settings);
  const call = { p_partition: partitionName ?? null, p_settings, p_by: by, p_note };
  return findQueueNamed(queue, async (p_queue) =>
    parseStored(changedQueue, await rpc('change_settings', { p_queue, ...call })),
  );
}

export const queuePauseInput = z.strictObject({
  reason: nonBlankText(200).describe('Shown on the dashboard.'),
  until: instant.optional().describe('When the pause ends by itself; without it, when somebody resumes.'),
  partition,
});

/** Pauses a queue, or one of its partitions. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function pauseQueue(rpc: Rpc, queue: string, body: unknown, by: string): Promise<ChangedQueue> {
  const { reason, until = null, partition: name = null } = parseInput(queuePauseInput, body);
  const call = { p_partition: name, p_reason: reason, p_until: until, p_by: by };
  return findQueueNamed(queue, async (p_queue) =>
    changedQueue.parse(await rpc('pause_queue', { p_queue, ...call })),
  );
}

export const queueResumeInput = z.strictObject({ partition });

/** Ends the pause of a queue, or of one of its partitions. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function resumeQueue(rpc: Rpc, queue: string, body: unknown, by: string): Promise<ChangedQueue> {
  const { partition: name = null } = parseInput(queueResumeInput, body);
  return findQueueNamed(queue, async (p_queue) =>
    changedQueue.parse(await rpc('resume_queue', { p_queue, p_partition: name, p_by: by })),
  );
}

async function findQueueNamed<T>(queue: string, query: (queue: string) => Promise<T>): Promise<T> {
  const name = queueName.safeParse(queue);
  if (!name.success) throw new NotFoundError(`there is no queue "${queue}"`);
  try {
    return await query(name.data);
  } catch (error) {
    throw toHttpError(error, 'until');
  }
}
