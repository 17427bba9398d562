'use client';

import Link from 'next/link';
import { useActionState, useState } from 'react';
import { ActionFailure } from '@/components/acts/action-failure.tsx';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { InstantField } from '@/components/time/instant-field.tsx';
import { startAct } from '../../../acts/actions.ts';

interface ActFormProps {
  queue: string;
  /** The action’s fields that choose its rows, as JSON. */
  rows: string;
  action: string;
  /** What the button says. */
  label: string;
  count: number;
  /** The number of rows that the person sees; null if it is not known. */
  expect: number | null;
  newKey: string;
  /** The name that is recorded. */
  visitor: string;
  back: string;
}

/** Rows of a first try. */
const few = 5;
const FIELD = 'h-9 w-full rounded-md border border-muted bg-surface px-2 text-base sm:text-sm';

/** Draws the choices of an action and the button that confirms it. */
export function ActForm({ queue, rows, action, label, count, expect, newKey, visitor, back }: ActFormProps) {
  const [result, act, isRunning] = useActionState(startAct, null);
  // The page is rendered anew now and then. A second click must be the same action.
  const [key] = useState(newKey);
  return (
    <form action={act} aria-busy={isRunning} className="grid gap-4">
      <input type="hidden" name="queue" value={queue} />
      <input type="hidden" name="rows" value={rows} />
      <input type="hidden" name="key" value={key} />
      {expect !== null && <input type="hidden" name="expect" value={expect} />}
      {action === 'retry' && count > few && (
        <fieldset className="grid gap-1">
          <legend className="text-muted">When</legend>
          <label className="inline-flex min-h-8 items-center gap-2">
            <input type="radio" name="first" value={few} defaultChecked /> {few} first, then ask me
          </label>
          <label className="inline-flex min-h-8 items-center gap-2">
            <input type="radio" name="first" value="" /> all at once
          </label>
        </fieldset>
      )}
      {action === 'reschedule' && (
        <div className="max-w-64">
          <InstantField name="due_at" label="Due at" required />
        </div>
      )}
      {action === 'prioritise' && (
        <label className="grid max-w-64 gap-1">
          <span className="text-muted">Priority</span>
          <select name="priority" defaultValue="1" className={FIELD}>
            <option value="0">0, the highest</option>
            <option value="1">1</option>
            <option value="2">2</option>
            <option value="3">3, the lowest</option>
          </select>
        </label>
      )}
      <label className="grid max-w-xl gap-1">
        <span className="text-muted">Note, recorded with your name: {visitor}</span>
        <input name="note" maxLength={1_000} autoComplete="off" className={FIELD} />
      </label>
      <div className="flex flex-wrap gap-2">
        <button
          type="submit"
          className="min-h-9 cursor-pointer rounded-md bg-accent px-4 font-medium text-on-accent"
        >
          {label}
        </button>
        <Link href={back} prefetch={false} className={`inline-flex items-center ${SECONDARY_BUTTON}`}>
          Go back
        </Link>
      </div>
      <ActionFailure message={result?.problem ?? ''} />
    </form>
  );
}
