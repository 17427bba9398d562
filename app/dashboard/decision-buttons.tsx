import { useRef, useState } from 'react';
import type { ListedRow } from '@/lib/store/listed-row';
import { fetchJson } from './fetch-json';

type Decision = 'sent' | 'pending' | 'failed';

interface DecisionButtonsProps {
  row: ListedRow;
  path: string;
  onDecided: (id: string, status: string) => void;
}

const BUTTON = 'min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken';

export function DecisionButtons({ row, path, onDecided }: DecisionButtonsProps) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const again = useRef<HTMLButtonElement>(null);

  async function decide(decision: Decision): Promise<void> {
    // Not by disabling the buttons: the one that was pressed would lose the focus.
    if (busy) return;
    setBusy(true);
    setFailure('');
    try {
      const { status } = await fetchJson<{ status: string }>(`${path}/${row.id}/resolve`, {
        decision,
        attempt: row.attempts,
      });
      onDecided(row.id, status);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  }

  function leave(): void {
    setAsking(false);
    requestAnimationFrame(() => again.current?.focus());
  }

  return (
    <div className="lg:max-w-80 lg:justify-self-end">
      {asking ? (
        <fieldset
          aria-busy={busy}
          aria-label={`Send row ${row.id} again?`}
          onKeyDown={(event) => event.key === 'Escape' && leave()}
        >
          <p className="text-warn">If it did go out, this sends it a second time. Send it again?</p>
          <div className="mt-2 flex flex-wrap gap-2">
            <button
              type="button"
              className="min-h-9 cursor-pointer rounded-md bg-accent px-3 font-medium text-on-accent"
              onClick={() => void decide('pending')}
            >
              Yes, send again
            </button>
            <button
              type="button"
              // biome-ignore lint/a11y/noAutofocus: the button that was pressed has gone, and this is the harmless one.
              autoFocus
              className={BUTTON}
              onClick={leave}
            >
              Leave it
            </button>
          </div>
        </fieldset>
      ) : (
        <fieldset
          aria-busy={busy}
          aria-label={`What became of row ${row.id}?`}
          className="flex flex-wrap gap-2 lg:justify-end"
        >
          <button
            type="button"
            title="You have seen the message in the conversation."
            className={BUTTON}
            onClick={() => void decide('sent')}
          >
            It was sent
          </button>
          <button
            ref={again}
            type="button"
            title="It is not in the conversation: it goes out with a coming tick."
            className={BUTTON}
            onClick={() => setAsking(true)}
          >
            Send again
          </button>
          <button
            type="button"
            title="It counts as failed, and is not sent again."
            className={BUTTON}
            onClick={() => void decide('failed')}
          >
            Give up
          </button>
        </fieldset>
      )}
      {failure && (
        <p role="alert" className="mt-2 wrap-anywhere text-bad first-letter:uppercase">
          {failure}
        </p>
      )}
    </div>
  );
}
