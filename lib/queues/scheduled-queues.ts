import { dmQueue } from './dm-queue/queue.ts';
import { scheduledJobs } from './jobs/queue.ts';
import { monitors } from './monitors/queue.ts';
import { scheduledPgmq } from './pgmq/queue.ts';
import { posts } from './posts/queue.ts';
import { enrolments } from './sequences/queue.ts';

/** All queues. The cron paths, `/api/trigger` and the worker read this list. Add your own queue here. */
export const scheduledQueues = [
  // First, because it queues messages.
  { queue: enrolments, partitions: 'main' },
  { queue: dmQueue, partitions: 'main' },
  { queue: posts, partitions: 'main' },
  scheduledJobs,
  scheduledPgmq,
  { queue: monitors, partitions: 'named' },
] as const;
