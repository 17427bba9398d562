import { setTimeout as pause } from 'node:timers/promises';
import { defineJob } from 'punctual';
import { z } from 'zod';

/** Sleeps for `seconds`, reports its progress every second, and stops when its signal aborts. */
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
