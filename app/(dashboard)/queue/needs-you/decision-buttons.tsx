import { useRef, useState } from 'react';
import { fetchJson } from '@/components/api/fetch-json.ts';
import { useAction } from '@/components/api/use-action.ts';
import { ConfirmButtons, SECONDARY_BUTTON } from '@/components/confirm-buttons.tsx';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

interface DecisionButtonsProps {
  row: ListedRow;
  words: QueueStats['words'];
  path: string;
  onDecided: (id: string, status: string) => void;
}

/** Draws the buttons that resolve an unknown row. A retry asks first. */
export function DecisionButtons({ row, words, path, onDecided }: DecisionButtonsProps) {
  const [isConfirming, setIsConfirming] = useState(false);
  const { isRunning, failure, run } = useAction();
  const retryButton = useRef<HTMLButtonElement>(null);

  const decide = (decision: string) =>
    run(async () => {
      const { status } = await fetchJson<{ status: string }>(`${path}/${row.id}/resolve`, {
        decision,
        attempt: row.attempts,
      });
      onDecided(row.id, status);
    });

  function cancel(): void {
    setIsConfirming(false);
    requestAnimationFrame(() => retryButton.current?.focus());
  }

  return (
    <div className="lg:max-w-80 lg:justify-self-end">
      {isConfirming ? (
        <fieldset
          aria-busy={isRunning}
          aria-label={`Retry row ${row.id}?`}
          onKeyDown={(event) => event.key === 'Escape' && cancel()}
        >
          <p className="text-warn">If the attempt worked, a retry does it a second time. Retry it?</p>
          <div className="mt-2 flex flex-wrap gap-2">
            <ConfirmButtons
              confirmLabel="Yes, retry it"
              onConfirm={() => void decide(words.pending)}
              onCancel={cancel}
            />
          </div>
        </fieldset>
      ) : (
        <fieldset
          aria-busy={isRunning}
          aria-label={`Decide on row ${row.id}`}
          className="flex flex-wrap gap-2 lg:justify-end"
        >
          <button
            type="button"
            title="You have seen that the attempt worked."
            className={SECONDARY_BUTTON}
            onClick={() => void decide(words.done)}
          >
            Mark as {words.done}
          </button>
          <button
            ref={retryButton}
            type="button"
            title="You have seen that the attempt did not work. A later tick runs the row again."
            className={SECONDARY_BUTTON}
            onClick={() => setIsConfirming(true)}
          >
            Retry
          </button>
          <button
            type="button"
            title="The row is not retried."
            className={SECONDARY_BUTTON}
            onClick={() => void decide(words.dead)}
          >
            Mark as {words.dead}
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
