'use client';

import { useActionState } from 'react';
import { ActionFailure } from '@/components/acts/action-failure.tsx';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { steerAct } from '../../acts/actions.ts';

interface SteerButtonsProps {
  id: string;
  /** What the buttons say; null leaves one out. */
  stop: string | null;
  proceed: string | null;
}

/** Draws the buttons that continue or stop an action. */
export function SteerButtons({ id, stop, proceed }: SteerButtonsProps) {
  const [result, act, isRunning] = useActionState(steerAct, null);
  return (
    <form action={act} aria-busy={isRunning} className="flex flex-wrap gap-2">
      <input type="hidden" name="id" value={id} />
      {proceed && (
        <button
          type="submit"
          name="verb"
          value="continue"
          className="min-h-9 cursor-pointer rounded-md bg-accent px-4 font-medium text-on-accent"
        >
          {proceed}
        </button>
      )}
      {stop && (
        <button type="submit" name="verb" value="stop" className={SECONDARY_BUTTON}>
          {stop}
        </button>
      )}
      <ActionFailure message={result?.problem ?? ''} />
    </form>
  );
}
