'use server';

import type { ActResult } from '@/components/acts/act-result.ts';
import { pauseAccount, readAccount, resumeAccount } from '@/lib/operate/account-pace.ts';
import { saveAccount } from '@/lib/operate/accounts.ts';
import { actAsVisitor, instantIn, textOf } from '../../dal/act.ts';

/** Pauses an account, with the form's `reason` and, if given, `until`. */
export async function pause(id: string, _: ActResult | null, form: FormData): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const body = { reason: textOf(form, 'reason') ?? '', until: instantIn(form, 'until') };
    const { name } = await pauseAccount(rpc, id, body, by);
    return `${name} is paused.`;
  });
}

/** Ends the pause of an account, and its refusal. */
export async function resume(id: string): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const { name } = await resumeAccount(rpc, id, {}, by);
    return `${name} is resumed. The next tick tries it again.`;
  });
}

/** Changes an account's limits. An empty field switches its limit off. */
export async function changeLimits(id: string, _: ActResult | null, form: FormData): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const { provider, provider_account_id, name } = await readAccount(rpc, id);
    const limits = {
      daily_limit: numberOf(form, 'daily_limit'),
      hourly_limit: numberOf(form, 'hourly_limit'),
      gap_seconds: numberOf(form, 'gap_seconds'),
    };
    await saveAccount(rpc, { provider, provider_account_id, name, ...limits }, by);
    return `The limits of ${name} are changed. The next exchange obeys.`;
  });
}

/** Null for an empty field. A text that is no number stays one, which the schema refuses. */
function numberOf(form: FormData, name: string): unknown {
  const text = textOf(form, name);
  if (text === undefined) return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
}
