'use server';

import type { ActResult } from '@/components/acts/act-result.ts';
import { sendTestRow } from '@/lib/queues/jobs/test-rows.ts';
import { actAsVisitor } from '../dal/act.ts';

/** Creates a job that does nothing. */
export async function sendTest(): Promise<ActResult> {
  return actAsVisitor(
    async ({ rpc }, by) =>
      `The test row is row ${await sendTestRow(rpc, by)} of jobs. The next tick runs it.`,
  );
}
