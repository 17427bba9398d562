import { useRef, useState } from 'react';
import { useSWRConfig } from 'swr';
import { fetchJson } from '@/components/api/fetch-json.ts';
import { useAction } from '@/components/api/use-action.ts';
import { ConfirmButtons, SECONDARY_BUTTON } from '@/components/confirm-buttons.tsx';
import type { Enrolment } from '@/lib/store/conversations.ts';
import { phaseLabel } from './enrolment-words.ts';

/** Draws the buttons that pause, resume or stop an enrolment. Once it is over, draws only the last action's message. */
export function EnrolmentActions({ enrolment: { id, phase, paused_at } }: { enrolment: Enrolment }) {
  const { mutate } = useSWRConfig();
  const [isConfirming, setIsConfirming] = useState(false);
  const [message, setMessage] = useState('');
  const { isRunning, failure, run } = useAction();
  const stopButton = useRef<HTMLButtonElement>(null);
  const status = useRef<HTMLParagraphElement>(null);
  const isActive = phase === 'in_progress' || phase === 'waiting_reply';
  const toggle = paused_at !== null || phase === 'failed' ? 'resume' : 'pause';

  const change = (action: 'pause' | 'resume' | 'stop') =>
    run(async () => {
      const changed = await fetchJson<Enrolment>(`/api/enrolments/${id}/${action}`, {});
      setMessage(`It is ${changed.paused_at === null ? phaseLabel(changed.phase) : 'paused'} now.`);
      // The focused button disappears.
      if (action === 'stop') status.current?.focus();
      setIsConfirming(false);
      void mutate(() => true);
    });

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
                  title={
                    toggle === 'pause'
                      ? 'Nothing more is sent until you resume it.'
                      : 'It continues with its current step.'
                  }
                  className={SECONDARY_BUTTON}
                  onClick={() => void change(toggle)}
                >
                  {toggle === 'pause' ? 'Pause' : 'Resume'}
                </button>
                <button
                  key="stop"
                  ref={stopButton}
                  type="button"
                  title="It ends, and nothing more is sent."
                  className={SECONDARY_BUTTON}
                  onClick={() => {
                    setMessage('');
                    setIsConfirming(true);
                  }}
                >
                  Stop
                </button>
              </>
            )}
          </div>
        </fieldset>
      )}
      <p ref={status} role="status" tabIndex={-1} className="text-good">
        {message}
      </p>
      {failure && (
        <p role="alert" className="wrap-anywhere text-bad first-letter:uppercase">
          {failure}
        </p>
      )}
    </div>
  );
}
