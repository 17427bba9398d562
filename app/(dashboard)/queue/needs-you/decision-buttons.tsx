import { useRef, useState } from 'react';
import { fetchJson } from '@/components/api/fetch-json';
import { useActing } from '@/components/api/use-acting';
import { ConfirmButtons, PLAIN_BUTTON } from '@/components/confirm-buttons';
import type { ListedRow } from '@/lib/store/listed-row';
import type { QueueStats } from '@/lib/store/stats';

interface DecisionButtonsProps {
  row: ListedRow;
  words: QueueStats['words'];
  path: string;
  onDecided: (id: string, status: string) => void;
}

export function DecisionButtons({ row, words, path, onDecided }: DecisionButtonsProps) {
  const [asking, setAsking] = useState(false);
  const { busy, failure, act } = useActing();
  const again = useRef<HTMLButtonElement>(null);

  const decide = (decision: string) =>
    act(async () => {
      const { status } = await fetchJson<{ status: string }>(`${path}/${row.id}/resolve`, {
        decision,
        attempt: row.attempts,
      });
      onDecided(row.id, status);
    });

  function leave(): void {
    setAsking(false);
    requestAnimationFrame(() => again.current?.focus());
  }

  return (
    <div className="lg:max-w-80 lg:justify-self-end">
      {asking ? (
        <fieldset
          aria-busy={busy}
          aria-label={`Try row ${row.id} again?`}
          onKeyDown={(event) => event.key === 'Escape' && leave()}
        >
          <p className="text-warn">If it did work, this does it a second time. Try it again?</p>
          <div className="mt-2 flex flex-wrap gap-2">
            <ConfirmButtons yes="Yes, try again" onYes={() => void decide(words.pending)} onLeave={leave} />
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
            title="You have seen that it worked."
            className={PLAIN_BUTTON}
            onClick={() => void decide(words.done)}
          >
            Mark as {words.done}
          </button>
          <button
            ref={again}
            type="button"
            title="You have seen that it did not work: a coming tick does it."
            className={PLAIN_BUTTON}
            onClick={() => setAsking(true)}
          >
            Try again
          </button>
          <button
            type="button"
            title="It is given up, and not tried again."
            className={PLAIN_BUTTON}
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
