import { definePunctual } from 'punctual';
import { dmQueue, enrolments, messageQueue, monitors, posts } from 'punctual/queues';
import { handlers } from '@/jobs/handlers.ts';

/** The queues and jobs of this app, for the API, the dashboard and the worker. Add your own queue here. */
export const punctual = definePunctual({
  // The first queue messages for the second.
  queues: [enrolments, dmQueue, posts, messageQueue(handlers), monitors],
  jobs: handlers,
});
