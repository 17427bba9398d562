'use client';

import { useRef, useState } from 'react';
import { ActionFailure } from '@/components/acts/action-failure.tsx';
import { ConfirmButtons, SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { fetchJson } from '@/components/acts/fetch-json.ts';
import { useAction } from '@/components/acts/use-action.ts';

interface DecisionButtonsProps {
  id: string;
  attempt: number;
  /** The queue's words for the three decisions. */
  words: Record<'pending' | 'done' | 'dead', string>;
  /** The API's path of the queue's rows. */
  path: string;
}

/** Draws the buttons that resolve an unknown row. A retry asks first. */
export function DecisionButtons({ id, attempt, words, path }: DecisionButtonsProps) {
  const [isConfirming, setIsConfirming] = useState(false);
  const { isRunning, failure, run } = useAction();
  const retryButton = useRef<HTMLButtonElement>(null);

  async function decide(decision: string): Promise<void> {
    const isDecided = await run(async () => {
      const { status } = await fetchJson<{ status: string }>(`${path}/${id}/resolve`, { decision, attempt });
      return `Row ${id} is ${status} now.`;
    });
    // The focused button disappears with its row.
    if (isDecided) (document.getElementById('needs-you') ?? document.getElementById('main'))?.focus();
  }

  function cancel(): void {
    setIsConfirming(false);
    requestAnimationFrame(() => retryButton.current?.focus());
  }

  return (
    <div className="lg:max-w-80 lg:justify-self-end">
      {isConfirming ? (
        <fieldset
          aria-busy={isRunning}
          aria-label={`Retry row ${id}?`}
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
          aria-label={`Decide on row ${id}`}
          className="flex flex-wrap gap-2 lg:justify-end"
        >
          <button type="button" className={SECONDARY_BUTTON} onClick={() => void decide(words.done)}>
            Mark as {words.done}
          </button>
          <button
            ref={retryButton}
            type="button"
            className={SECONDARY_BUTTON}
            onClick={() => setIsConfirming(true)}
          >
            Retry
          </button>
          <button type="button" className={SECONDARY_BUTTON} onClick={() => void decide(words.dead)}>
            Mark as {words.dead}
          </button>
        </fieldset>
      )}
      <ActionFailure message={failure} />
    </div>
  );
}
