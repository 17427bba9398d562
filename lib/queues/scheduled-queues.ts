import { dmQueue } from './dm-queue/queue';
import { scheduledJobs } from './jobs/queue';
import { monitors } from './monitors/queue';
import { scheduledPgmq } from './pgmq/queue';
import { posts } from './posts/queue';
import { enrolments } from './sequences/queue';

/** Every queue, for whoever ticks them all: `/api/cron/process-scheduled`, `/api/trigger`, the worker. A queue of yours goes here, too. */
export const scheduledQueues = [
  // Before the messages that they queue.
  { queue: enrolments, partitions: 'main' },
  { queue: dmQueue, partitions: 'main' },
  { queue: posts, partitions: 'main' },
  scheduledJobs,
  scheduledPgmq,
  { queue: monitors, partitions: 'named' },
] as const;
