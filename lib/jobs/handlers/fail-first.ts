import { z } from 'zod';
import { defineJob } from '../define-job';

/** Fails as often as it is told to, and then does not. */
export default defineJob({
  payload: z.strictObject({ times: z.int().min(0).max(100) }),

  run({ times }, { attempt }) {
    if (attempt <= times) throw new Error(`failed on purpose: attempt ${attempt} of the ${times} that do`);
    return { attempt };
  },
});
