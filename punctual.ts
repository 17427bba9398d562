import { handlers } from '@/jobs/handlers.ts';
import { definePunctual } from '@/lib/queues/define-punctual.ts';
import { dmQueue } from '@/lib/queues/dm-queue/queue.ts';
import { monitors } from '@/lib/queues/monitors/queue.ts';
import { messageQueue } from '@/lib/queues/pgmq/queue.ts';
import { posts } from '@/lib/queues/posts/queue.ts';
import { enrolments } from '@/lib/queues/sequences/queue.ts';

/** The queues and jobs of this app. The API, the dashboard, the worker and `/api/cron/process-scheduled` read it. Add your own queue here. */
export const punctual = definePunctual({
  // The first queue messages for the second.
  queues: [enrolments, dmQueue, posts, messageQueue(handlers), monitors],
  jobs: handlers,
});
