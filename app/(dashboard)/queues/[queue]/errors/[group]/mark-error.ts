'use server';

import { markErrorGroup } from '@/lib/operate/rows/error-groups.ts';
import { type ActResult, actAsVisitor, textOf } from '../../../../dal/act.ts';

/** Marks an error group as known, with the form's `note`. */
export async function markKnown(queue: string, group: string, form: FormData): Promise<ActResult> {
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
