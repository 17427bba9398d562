import { Notice } from '@/components/notice.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { Stats } from '@/lib/store/stats.ts';

/** Lists providers that ticks do not call for now, because calls to them failed or were refused. */
export function PausedProviders({ providers }: { providers: Stats['providers'] }) {
  const nowMs = useServerNow();
  return providers.map(({ name, paused_until, last_error }) => {
    if (paused_until === null || Date.parse(paused_until) <= nowMs) return null;
    return (
      <Notice key={name} tone="warn" heading={`${name} is paused`}>
        Calls to this provider fail, so its rows wait. The next try is <RelativeTime at={paused_until} />.
        {last_error && <> Last error: {last_error}</>}
      </Notice>
    );
  });
}
