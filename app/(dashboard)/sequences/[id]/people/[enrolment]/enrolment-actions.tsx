'use client';

import { useRef, useState } from 'react';
import { ActionFailure } from '@/components/acts/action-failure.tsx';
import { ConfirmButtons, SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { fetchJson } from '@/components/acts/fetch-json.ts';
import { useAction } from '@/components/acts/use-action.ts';
import type { Enrolment } from '@/lib/store/conversations.ts';
import { type Phase, phaseLabel } from '../../../enrolment-words.ts';

interface EnrolmentActionsProps {
  id: string;
  phase: Phase;
  isPaused: boolean;
}

/** Draws the buttons that pause, resume or stop an enrolment. Draws nothing once it is over. */
export function EnrolmentActions({ id, phase, isPaused }: EnrolmentActionsProps) {
  const [isConfirming, setIsConfirming] = useState(false);
  const { isRunning, failure, run } = useAction();
  const stopButton = useRef<HTMLButtonElement>(null);
  const isActive = phase === 'in_progress' || phase === 'waiting_reply';
  const toggle = isPaused || phase === 'failed' ? 'resume' : 'pause';

  async function change(action: 'pause' | 'resume' | 'stop'): Promise<void> {
    const isDone = await run(async () => {
      const changed = await fetchJson<Enrolment>(`/api/enrolments/${id}/${action}`, {});
      return `It is ${changed.paused_at === null ? phaseLabel(changed.phase) : 'paused'} now.`;
    });
    if (!isDone) return;
    setIsConfirming(false);
    // The focused button disappears.
    if (action === 'stop') document.getElementById('timeline')?.focus();
  }

  function cancel(): void {
    setIsConfirming(false);
    requestAnimationFrame(() => stopButton.current?.focus());
  }

  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
      {(isActive || phase === 'failed') && (
        <fieldset
          aria-busy={isRunning}
          aria-label={isConfirming ? `Stop enrolment ${id}?` : `Enrolment ${id}`}
          onKeyDown={(event) => isConfirming && event.key === 'Escape' && cancel()}
        >
          {isConfirming && (
            <p className="mb-2 text-warn">Nothing more is sent, and you cannot resume it. Stop it?</p>
          )}
          <div className="flex flex-wrap gap-2">
            {isConfirming ? (
              <ConfirmButtons
                confirmLabel="Yes, stop it"
                onConfirm={() => void change('stop')}
                onCancel={cancel}
              />
            ) : (
              <>
                {/* One button for both, so that it keeps the focus when its action changes. */}
                <button
                  key="toggle"
                  type="button"
                  className={SECONDARY_BUTTON}
                  onClick={() => void change(toggle)}
                >
                  {toggle === 'pause' ? 'Pause' : 'Resume'}
                </button>
                <button
                  key="stop"
                  ref={stopButton}
                  type="button"
                  className={SECONDARY_BUTTON}
                  onClick={() => setIsConfirming(true)}
                >
                  Stop
                </button>
              </>
            )}
          </div>
        </fieldset>
      )}
      <ActionFailure message={failure} />
    </div>
  );
}
