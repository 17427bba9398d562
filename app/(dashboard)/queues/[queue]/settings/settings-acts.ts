'use server';

import type { ActResult } from '@/components/acts/act-result.ts';
import { runQueue } from '@/lib/cron/run-queue-route.ts';
import { changeSettings, pauseQueue, resumeQueue } from '@/lib/operate/queue-settings.ts';
import { actAsVisitor, instantIn, textOf } from '../../../dal/act.ts';
import { partitionFields, queueFields, readChanges } from './setting-fields.ts';
import { tickInWords } from './tick-in-words.ts';

/** The limit of the page, in seconds. */
const maxDuration = 60;

/** Pauses a queue or a partition, with the form's `reason` and, if given, `until`. */
export async function pause(
  queue: string,
  partition: string | null,
  _: ActResult | null,
  form: FormData,
): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const body = {
      reason: textOf(form, 'reason') ?? '',
      until: instantIn(form, 'until'),
      ...named(partition),
    };
    await pauseQueue(rpc, queue, body, by);
    return `${partition ?? queue} is paused. Rows that run are finished.`;
  });
}

/** Ends the pause of a queue or a partition. */
export async function resume(queue: string, partition: string | null): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    await resumeQueue(rpc, queue, named(partition), by);
    return `${partition ?? queue} is resumed.`;
  });
}

/** Changes the settings in which the form differs from `was`, those that it was drawn with. */
export async function change(
  queue: string,
  partition: string | null,
  was: Record<string, unknown>,
  _: ActResult | null,
  form: FormData,
): Promise<ActResult> {
  return actAsVisitor(async ({ rpc }, by) => {
    const changes = readChanges(form, partition === null ? queueFields : partitionFields, was);
    const count = Object.keys(changes).length;
    if (count === 0) return 'Nothing was changed: all settings are as they were.';
    const note = textOf(form, 'note');
    await changeSettings(rpc, queue, partition ?? undefined, note ? { ...changes, note } : changes, by);
    return `${count === 1 ? 'One setting is' : `${count} settings are`} changed. The next exchange obeys.`;
  });
}

/** Runs a tick now, and says what it did. */
export async function runTick(queue: string, partition: string | null): Promise<ActResult> {
  const startedAt = Date.now();
  return actAsVisitor(async (services, by) => {
    const call = { queue, partition: partition ?? undefined, by, maxDuration, startedAt };
    return tickInWords(await runQueue(services, { ...call, path: `/queues/${queue}/settings` }));
  });
}

const named = (partition: string | null) => (partition === null ? {} : { partition });
