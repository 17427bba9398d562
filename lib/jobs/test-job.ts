import { z } from 'zod';
import { defineJob } from './define-job.ts';

/** Does nothing: "Send a test row" on the dashboard shows with it that ticks come. */
export const testJob = defineJob({
  payload: z.strictObject({}),

  run() {
    return {};
  },
});
