import type { Queue } from '../engine/queue';
import type { TickReport } from '../engine/tick-report';
import { jobs } from '../queues/jobs';
import type { Container } from '../services/container';
import type { ServerEnv } from '../services/env';
import type { CronCall } from './cron-call';
import { withFailedJobs } from './failed-jobs-work';
import { lookWork } from './look-work';
import { partitionsWork } from './partitions-work';
import { pruneWork } from './prune-work';
import { rollUpWork } from './roll-up-work';
import { scheduledWork } from './scheduled-work';
import { tickWork } from './tick-work';

/** What one call of a cron endpoint does, with or without HTTP. Throws what `failed` knows how to answer. */
export type CronWork = (shared: Container, call: CronCall) => Promise<WorkDone>;

export interface WorkDone {
  /** The ticks that another call at once could go on with. */
  reports: TickReport[];
  /** The answer. */
  body: object;
  /** What a part of it threw: it is told once all else is done. */
  fault?: unknown;
}

/** A queue whatever its rows are. */
// biome-ignore lint/suspicious/noExplicitAny: each queue has its own types of row and deps
export type AnyQueue = Queue<any, any, ServerEnv>;

/** How a queue's endpoint ticks its partitions. */
export interface ScheduledQueue {
  queue: AnyQueue;
  /** `main`: there is one. `named`: each has an endpoint of its own. `due`: one endpoint ticks all that have something due. */
  parts: 'main' | 'named' | 'due';
  /** What is answered as long as the database does not know the queue. */
  whereNone?: string;
}

/** A queue's name as paths spell it. */
export const pathName = (queue: string) => queue.replaceAll('_', '-');

/** What the queue's own endpoint does; of `partition`, where it has one each. */
export function queueWork({ queue, parts, whereNone }: ScheduledQueue, partition?: string): CronWork {
  if (parts !== 'due') return tickWork(queue, partition);
  const work = partitionsWork(queue, { whereNone });
  return queue.name === jobs.name ? withFailedJobs(work) : work;
}

/** The queue of that name, as in the registry or as in paths. */
export function findQueue(name: string, queues: readonly ScheduledQueue[]): ScheduledQueue | null {
  return queues.find(({ queue }) => queue.name === name || pathName(queue.name) === name) ?? null;
}

/** What the endpoint of that path does, for whoever has no HTTP between; null where there is none. */
export function findWork(path: string, queues: readonly ScheduledQueue[]): CronWork | null {
  const { pathname } = new URL(path, 'http://punctual.invalid');
  const [, name = '', partition] = /^\/api\/cron\/([\w-]+)(?:\/([\w-]+))?$/.exec(pathname) ?? [];
  if (partition === undefined) {
    if (name === 'reconcile') return lookWork(queues.map(({ queue }) => queue).filter((q) => q.reconcile));
    if (name === 'analytics') return rollUpWork;
    if (name === 'prune') return pruneWork;
    if (name === 'process-scheduled') return scheduledWork(queues);
  }
  const found = queues.find(({ queue }) => pathName(queue.name) === name);
  if (!found || (partition !== undefined && found.parts !== 'named')) return null;
  return queueWork(found, partition);
}
