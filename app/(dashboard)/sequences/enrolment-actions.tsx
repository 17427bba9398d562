import { useRef, useState } from 'react';
import { useSWRConfig } from 'swr';
import { fetchJson } from '@/components/api/fetch-json';
import { useActing } from '@/components/api/use-acting';
import { ConfirmButtons, PLAIN_BUTTON } from '@/components/confirm-buttons';
import type { Enrolment } from '@/lib/store/conversations';
import { phaseLabel } from './enrolment-words';

/** What a person may do about an enrolment; only what became of it where it is over. */
export function EnrolmentActions({ enrolment: { id, phase, paused_at } }: { enrolment: Enrolment }) {
  const { mutate } = useSWRConfig();
  const [asking, setAsking] = useState(false);
  const [became, setBecame] = useState('');
  const { busy, failure, act } = useActing();
  const stop = useRef<HTMLButtonElement>(null);
  const status = useRef<HTMLParagraphElement>(null);
  const goesOn = phase === 'in_progress' || phase === 'waiting_reply';
  const doing = paused_at !== null || phase === 'failed' ? 'resume' : 'pause';

  const change = (what: 'pause' | 'resume' | 'stop') =>
    act(async () => {
      const now = await fetchJson<Enrolment>(`/api/enrolments/${id}/${what}`, {});
      setBecame(`It is ${now.paused_at === null ? phaseLabel(now.phase) : 'paused'} now.`);
      // The button that had the focus goes.
      if (what === 'stop') status.current?.focus();
      setAsking(false);
      void mutate(() => true);
    });

  function leave(): void {
    setAsking(false);
    requestAnimationFrame(() => stop.current?.focus());
  }

  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
      {(goesOn || phase === 'failed') && (
        <fieldset
          aria-busy={busy}
          aria-label={asking ? `Stop enrolment ${id}?` : `Enrolment ${id}`}
          onKeyDown={(event) => asking && event.key === 'Escape' && leave()}
        >
          {asking && (
            <p className="mb-2 text-warn">Nothing more is sent, and it cannot be resumed. Stop it?</p>
          )}
          <div className="flex flex-wrap gap-2">
            {asking ? (
              <ConfirmButtons yes="Yes, stop it" onYes={() => void change('stop')} onLeave={leave} />
            ) : (
              <>
                {/* One button, which keeps the focus when it turns into the other. */}
                <button
                  key="doing"
                  type="button"
                  title={
                    doing === 'pause'
                      ? 'Nothing more is sent until it is resumed.'
                      : 'It goes on with the step that it stands at.'
                  }
                  className={PLAIN_BUTTON}
                  onClick={() => void change(doing)}
                >
                  {doing === 'pause' ? 'Pause' : 'Resume'}
                </button>
                <button
                  key="stop"
                  ref={stop}
                  type="button"
                  title="It is over: nothing more is sent."
                  className={PLAIN_BUTTON}
                  onClick={() => {
                    setBecame('');
                    setAsking(true);
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
        {became}
      </p>
      {failure && (
        <p role="alert" className="wrap-anywhere text-bad first-letter:uppercase">
          {failure}
        </p>
      )}
    </div>
  );
}
