'use server';

import type { ActResult } from '@/components/acts/act-result.ts';
import { snoozeNeed, wakeNeed } from '@/lib/stats/needs/snoozes.ts';
import { actAsVisitor, textOf } from '../dal/act.ts';
import { readNeeds } from '../dal/needs.ts';

const hourMs = 3_600_000;

/** Puts a line of “Needs you” off: the form’s `until` is an instant, or `hour` or `week`. */
export async function snooze(key: string, _: ActResult | null, form: FormData): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const chosen = textOf(form, 'until');
    const hours = { hour: 1, week: 168 }[chosen ?? ''];
    const until = hours === undefined ? chosen : new Date(Date.now() + hours * hourMs).toISOString();
    await snoozeNeed(rpc, await readNeeds(), key, { until }, by);
    return 'The line is snoozed. It comes back earlier if it gets worse.';
  });
}

/** Ends the snooze of a line. */
export async function wake(key: string): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    await wakeNeed(rpc, await readNeeds(), key, by);
    return 'The line is back under “Needs you”.';
  });
}
