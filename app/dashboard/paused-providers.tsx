import type { Stats } from '@/lib/store/stats';
import { Notice } from './notice';
import { RelativeTime } from './relative-time';
import { useServerNow } from './server-now';

export function PausedProviders({ providers }: { providers: Stats['providers'] }) {
  const nowMs = useServerNow();
  return providers.map(({ name, paused_until, last_error }) => {
    if (paused_until === null || Date.parse(paused_until) <= nowMs) return null;
    return (
      <Notice key={name} tone="warn" heading={`${name} pauses`}>
        It failed as a whole, so its rows wait; it is tried again <RelativeTime at={paused_until} />.
        {last_error && <> Last error: {last_error}</>}
      </Notice>
    );
  });
}
