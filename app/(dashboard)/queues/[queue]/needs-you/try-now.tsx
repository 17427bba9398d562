'use client';

import { ActionFailure } from '@/components/acts/action-failure.tsx';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { fetchJson } from '@/components/acts/fetch-json.ts';
import { useAction } from '@/components/acts/use-action.ts';

interface TryNowProps {
  provider: string;
  account: string | null;
  name: string | null;
}

/** Draws the button that ends the pause of a refused account or provider, once its cause is fixed. */
export function TryNow({ provider, account, name }: TryNowProps) {
  const { isRunning, failure, run } = useAction();
  const tryNow = () =>
    run(async () => {
      await fetchJson('/api/refusals/end', { provider, account });
      return `The next tick tries ${name ?? provider} again.`;
    });
  return (
    <div aria-busy={isRunning} className="lg:justify-self-end">
      <button type="button" className={SECONDARY_BUTTON} onClick={() => void tryNow()}>
        Try now
      </button>
      <ActionFailure message={failure} />
    </div>
  );
}
