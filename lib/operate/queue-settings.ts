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
const note = storableText(1_000).optional();

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

/** A setting that is null is the queue's. */
const partitionSettings = z.strictObject({
  ...shared,
  concurrency: shared.concurrency.nullable(),
  adaptive: shared.adaptive.nullable(),
  max_ticks: shared.max_ticks.nullable(),
  timeout_seconds: shared.timeout_seconds.nullable(),
  /** Rows that run at once, whatever the number of ticks. 1 makes the partition blocking. */
  max_running: positive().nullable(),
});

const pause = {
  paused_at: z.string().nullable(),
  /** Null if the pause lasts until somebody resumes. */
  paused_until: z.string().nullable(),
  paused_reason: z.string().nullable(),
};

const listedQueue = z.object({
  name: z.string(),
  delivery: z.enum(['at-most-once', 'at-least-once']),
  settings: z.object(queueSettings.shape),
  ...pause,
});

const queueWithPartitions = listedQueue.extend({
  partitions: z.array(z.object({ name: z.string(), settings: z.object(partitionSettings.shape), ...pause })),
  /** The last ten acts on the queue, the latest first. */
  acts: z.array(actSchema),
});

/** `partition`: null for the queue itself. */
const changed = z.object({
  queue: z.string(),
  partition: z.string().nullable(),
  settings: z.union([z.object(queueSettings.shape), z.object(partitionSettings.shape)]),
  ...pause,
});

export type QueueSettings = z.infer<typeof queueWithPartitions>;
export type ChangedQueue = z.infer<typeof changed>;

const partition = storableText(200).min(1, 'is empty').optional();
/** `partition` names one of the queue's partitions. */
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
  const schema = (partitionName === undefined ? queueSettings : partitionSettings).partial();
  const { note: p_note = null, ...settings } = parseInput(schema.extend({ note }), body);
  const p_settings = parseChanges(schema, settings);
  const call = { p_partition: partitionName ?? null, p_settings, p_by: by, p_note };
  return findQueueNamed(queue, async (p_queue) =>
    parseStored(changed, await rpc('change_settings', { p_queue, ...call })),
  );
}

const pauseInput = z.strictObject({
  reason: nonBlankText(200),
  /** When the pause ends by itself; without it, when somebody resumes. */
  until: instant.optional(),
  partition,
});

/** Pauses a queue, or one of its partitions. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function pauseQueue(rpc: Rpc, queue: string, body: unknown, by: string): Promise<ChangedQueue> {
  const { reason, until = null, partition: name = null } = parseInput(pauseInput, body);
  const call = { p_partition: name, p_reason: reason, p_until: until, p_by: by };
  return findQueueNamed(queue, async (p_queue) =>
    changed.parse(await rpc('pause_queue', { p_queue, ...call })),
  );
}

const resumeInput = z.strictObject({ partition });

/** Ends the pause of a queue, or of one of its partitions. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function resumeQueue(rpc: Rpc, queue: string, body: unknown, by: string): Promise<ChangedQueue> {
  const { partition: name = null } = parseInput(resumeInput, body);
  return findQueueNamed(queue, async (p_queue) =>
    changed.parse(await rpc('resume_queue', { p_queue, p_partition: name, p_by: by })),
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
