import { dmQueue } from './dm-queue/queue';
import { scheduledJobs } from './jobs/queue';
import { monitors } from './monitors/queue';
import { scheduledPgmq } from './pgmq/queue';
import { posts } from './posts/queue';
import { enrolments } from './sequences/queue';

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
