import { defineJob } from 'punctual';
import { z } from 'zod';

/** Fails in the first `times` attempts, then succeeds. */
export default defineJob({
  payload: z.strictObject({ times: z.int().min(0).max(100) }),

  run({ times }, { attempt }) {
    if (attempt <= times) throw new Error(`failed on purpose: attempt ${attempt} of ${times} that fail`);
    return { attempt };
  },
});
