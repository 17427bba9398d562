'use server';

import type { ActResult } from '@/components/acts/act-result.ts';
import { markErrorGroup } from '@/lib/operate/rows/error-groups.ts';
import { actAsVisitor, textOf } from '../../../../dal/act.ts';

/** Marks an error group as known, with the form's `note`. */
export async function markKnown(
  queue: string,
  group: string,
  _: ActResult | null,
  form: FormData,
): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    await markErrorGroup(rpc, queue, group, by, { known: true, note: textOf(form, 'note') });
    return 'The error is marked as known.';
  });
}

/** Marks an error group as new again. */
export async function markNew(queue: string, group: string): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    await markErrorGroup(rpc, queue, group, by, { known: false });
    return 'The error counts as new again.';
  });
}
