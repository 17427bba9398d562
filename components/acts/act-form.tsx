'use client';

import { type FormEvent, type ReactNode, useRef } from 'react';
import { ActionFailure } from './action-failure.tsx';
import { SECONDARY_BUTTON } from './confirm-buttons.tsx';
import { useAction } from './use-action.ts';

interface ActFormProps {
  /** A Server Function, bound to what it changes. */
  act: (form: FormData) => Promise<{ done: string } | { failure: string }>;
  /** The words of the button. */
  submit: string;
  /** The fields. */
  children?: ReactNode;
  className?: string;
}

/**
 * Draws a form that runs an act of a person on the server, says what it did, and shows the page anew. A field of the type `datetime-local` is sent
 * as an instant, because only the browser knows its time zone. After a success the field `note` is empty again.
 */
export function ActForm({ act, submit, children, className = '' }: ActFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const { isRunning, failure, run } = useAction();

  async function send(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const isDone = await run(async () => {
      const result = await act(readForm(form.current as HTMLFormElement));
      if ('failure' in result) throw new Error(result.failure);
      return result.done;
    });
    const note = form.current?.elements.namedItem('note');
    if (isDone && note instanceof HTMLInputElement) note.value = '';
  }

  return (
    <form ref={form} aria-busy={isRunning} onSubmit={(event) => void send(event)} className={className}>
      {children}
      <div className="col-span-full">
        <button type="submit" className={`${SECONDARY_BUTTON} ${isRunning ? 'opacity-60' : ''}`}>
          {submit}
        </button>
        <ActionFailure message={failure} />
      </div>
    </form>
  );
}

function readForm(form: HTMLFormElement): FormData {
  const data = new FormData(form);
  for (const input of form.querySelectorAll<HTMLInputElement>('input[type="datetime-local"]'))
    if (input.value !== '') data.set(input.name, new Date(input.value).toISOString());
  return data;
}
