'use client';

import { useState } from 'react';
import { ActForm, BackLink } from '@/components/acts/act-form.tsx';
import { Field, SelectField } from '@/components/acts/field.tsx';
import { InstantField } from '@/components/acts/instant-field.tsx';
import { startAct } from '../../../acts/actions.ts';

interface ConfirmFormProps {
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

/** Draws the choices of an action and the button that confirms it. */
export function ConfirmForm(props: ConfirmFormProps) {
  const { queue, rows, action, label, count, expect, newKey, visitor, back } = props;
  // The page is rendered anew now and then. A second click must be the same action.
  const [key] = useState(newKey);
  return (
    <ActForm act={startAct} submit={label} isPrimary beside={<BackLink href={back} />} className="grid gap-4">
      <input type="hidden" name="queue" value={queue} />
      <input type="hidden" name="rows" value={rows} />
      <input type="hidden" name="key" value={key} />
      {expect !== null && <input type="hidden" name="expect" value={expect} />}
      {action === 'retry' && count > few && (
        <fieldset className="grid gap-1">
          <legend className="font-medium">When</legend>
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
        <SelectField name="priority" label="Priority" defaultValue="1" className="max-w-64">
          <option value="0">0, the highest</option>
          <option value="1">1</option>
          <option value="2">2</option>
          <option value="3">3, the lowest</option>
        </SelectField>
      )}
      <Field
        name="note"
        label="Note"
        maxLength={1_000}
        autoComplete="off"
        hint={`Recorded with your name: ${visitor}`}
        className="max-w-xl"
      />
    </ActForm>
  );
}
