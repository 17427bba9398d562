import { dmQueue } from './dm-queue';
import { enrolments } from './enrolments';
import { jobs } from './jobs';
import { monitors } from './monitors';
import { noMessageQueue, pgmq } from './pgmq';
import { posts } from './posts';

/** Every queue, for whoever ticks them all: `/api/cron/process-scheduled`, `/api/trigger`, the worker. A queue of yours goes here, too. */
export const scheduledQueues = [
  // Before the messages that they queue.
  { queue: enrolments, parts: 'main' },
  { queue: dmQueue, parts: 'main' },
  { queue: posts, parts: 'main' },
  { queue: jobs, parts: 'due' },
  { queue: pgmq, parts: 'due', whereNone: noMessageQueue },
  { queue: monitors, parts: 'named' },
] as const;
