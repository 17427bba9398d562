'use client';

import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { type FormEvent, type ReactNode, startTransition, useActionState, useEffect, useRef } from 'react';
import type { ActResult } from './act-result.ts';
import { ActionFailure } from './action-failure.tsx';
import { announce } from './announce.ts';
import { PRIMARY_BUTTON, SECONDARY_BUTTON } from './confirm-buttons.tsx';

interface ActFormProps {
  /** A Server Function, bound to what it changes. */
  act: (before: ActResult | null, form: FormData) => Promise<ActResult>;
  /** The words of the button. */
  submit: string;
  /** The button is the main one of its page. */
  isPrimary?: boolean;
  /** What a screen reader says in place of `submit`, where several buttons have the same words. */
  label?: string;
  /** Stand beside the button: further buttons, or a link that leads back. */
  beside?: ReactNode;
  /** The fields. */
  children?: ReactNode;
  className?: string;
}

/**
 * Draws a form that runs an act of a person on the server, says what it did, and shows the page anew. It also works before scripts have loaded. What
 * the person typed stays after a failure. After a success the field `note` is empty again.
 */
export function ActForm({ act, submit, isPrimary, label, beside, children, className = '' }: ActFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const router = useRouter();
  const [result, run, isRunning] = useActionState(act, null);

  useEffect(() => {
    if (result === null || 'failure' in result) return;
    announce(result.done);
    const note = form.current?.elements.namedItem('note');
    if (note instanceof HTMLInputElement) note.value = '';
    router.refresh();
  }, [result, router]);

  function send(event: FormEvent<HTMLFormElement>): void {
    // React empties the fields of a form that it sends itself.
    event.preventDefault();
    // The buttons stay enabled, because disabling the pressed one would take its focus.
    if (isRunning) return;
    const { submitter } = event.nativeEvent as SubmitEvent;
    const data = new FormData(event.currentTarget, submitter);
    startTransition(() => run(data));
  }

  const button = isPrimary ? PRIMARY_BUTTON : SECONDARY_BUTTON;
  return (
    <form ref={form} action={run} aria-busy={isRunning} onSubmit={send} className={className}>
      {children}
      <div className="col-span-full">
        <div className="flex flex-wrap gap-2">
          <button type="submit" aria-label={label} className={`${button} ${isRunning ? 'opacity-60' : ''}`}>
            {submit}
          </button>
          {beside}
        </div>
        <ActionFailure message={result !== null && 'failure' in result ? result.failure : ''} />
      </div>
    </form>
  );
}

/** Draws the way back beside the button of an act. */
export function BackLink({ href }: { href: string }) {
  return (
    <Link href={href} prefetch={false} className={`inline-flex items-center ${SECONDARY_BUTTON}`}>
      Go back
    </Link>
  );
}
