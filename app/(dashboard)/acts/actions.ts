'use server';

import { redirect } from 'next/navigation';
import { after } from 'next/server';
import type { ActResult } from '@/components/acts/act-result.ts';
import { rowHref, rowsHref } from '@/components/link.ts';
import { ConflictError } from '@/lib/http/http-error.ts';
import { type ActionPreview, runAction, startAction, steerAction } from '@/lib/operate/rows/actions.ts';
import { runLater } from '@/lib/operate/rows/actions-route.ts';
import { readQueueName } from '@/lib/operate/rows/rows-route.ts';
import { leftWords } from '../actions/action-words.ts';
import { actAsVisitor, instantIn, textOf } from '../dal/act.ts';

/** A person waits for the outcome of an act on one row. */
const oneRowMs = 3_000;

/**
 * Starts an action. The form has `queue`, `rows` (the action’s fields as JSON) and what the person chose: `note`, `first`, `due_at`, `priority`,
 * `expect`, `key`. Leads to the action, or for one row to that row.
 */
export async function startAct(_: ActResult | null, form: FormData): Promise<ActResult> {
  return actAsVisitor(async (services, by) => {
    const text = (name: string) => textOf(form, name);
    const number = (name: string) => (text(name) === undefined ? undefined : Number(text(name)));
    const queue = readQueueName(text('queue'));
    const rows = JSON.parse(text('rows') ?? '{}');
    const started = await startAction(
      services.rpc,
      queue,
      {
        ...rows,
        note: text('note'),
        key: text('key'),
        expect: number('expect'),
        first: number('first'),
        due_at: instantIn(form, 'due_at'),
        priority: number('priority'),
        dry_run: false,
      },
      by,
    );
    if (!('id' in started)) throw new ConflictError(nothingToChange(started));
    if (rows.ids?.length !== 1) {
      runLater(services, started.id, after);
      redirect(`/actions/${started.id}`);
    }
    await runAction(services.rpc, started.id, oneRowMs);
    redirect(started.action === 'delete' ? rowsHref(queue) : rowHref(queue, rows.ids[0]));
  });
}

function nothingToChange({ left }: ActionPreview): string {
  const reasons = Object.entries(left).map(([reason, { count }]) => leftWords(reason, count));
  return `Nothing was changed: ${reasons.join('; ') || 'no row matches any more'}.`;
}

/** Stops or continues an action. */
export async function steerAct(action: string, verb: 'stop' | 'continue'): Promise<ActResult> {
  return actAsVisitor(async (services, by) => {
    const { id } = await steerAction(services.rpc, action, verb === 'stop' ? 'stop' : 'continue', by);
    if (verb === 'continue') runLater(services, id, after);
    redirect(`/actions/${id}`);
  });
}
