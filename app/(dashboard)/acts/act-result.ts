import { unstable_rethrow } from 'next/navigation';
import { errorMessage } from '@/lib/http/error-response.ts';
import { withFields } from '../dal/visited.ts';

/** Why an act failed, for the form that asked for it. Null before it is sent. */
export type ActResult = { problem: string } | null;

/** Runs an act, which redirects at its end. Returns why it failed. */
export async function actResult(act: () => Promise<never>): Promise<ActResult> {
  try {
    return await withFields(act);
  } catch (error) {
    unstable_rethrow(error);
    return { problem: await errorMessage(error) };
  }
}
