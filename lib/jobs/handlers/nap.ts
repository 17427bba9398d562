import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineJob } from '../define-job';

/** Takes its time, says how far it has come, and stops when it is told to. */
export default defineJob({
  payload: z.strictObject({ seconds: z.number().positive().max(600) }),

  async run({ seconds }, { signal, progress }) {
    for (let slept = 0; slept < seconds; slept = Math.min(seconds, slept + 1)) {
      progress({ slept, of: seconds });
      await pause(Math.min(1, seconds - slept) * 1_000, undefined, { signal });
    }
    return { slept: seconds };
  },
});
