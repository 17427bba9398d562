'use client';

import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { AccountWithPace } from '@/lib/operate/account-pace.ts';
import { accountState } from './account-words.ts';

const TONES = { good: 'text-good', warn: 'text-warn', bad: 'text-bad', muted: 'text-muted' };

/** Draws whether an account may send now, why not, and until when. */
export function AccountState({ account }: { account: AccountWithPace }) {
  const { tone, word, reason, until } = accountState(account, useServerNow());
  return (
    <span className="wrap-anywhere">
      <span className={`font-medium ${TONES[tone]}`}>{word}</span>
      {reason && <span className="text-muted">: {reason}</span>}
      {until && (
        <span className="text-muted">
          , ends <RelativeTime at={until} />
        </span>
      )}
    </span>
  );
}
