'use client';

import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from 'react';

const NowContext = createContext(0);

/**
 * Provides the server's time. `readAt` is the server's time of the latest read; the browser's clock only counts the time since. So a browser
 * that is wrong by an hour still says `12 s ago`, and its first render is the same as the server's.
 */
export function ServerNow({ readAt, children }: { readAt: string; children: ReactNode }) {
  const readAtMs = Date.parse(readAt);
  const [nowMs, setNowMs] = useState(readAtMs);

  useEffect(() => {
    const receivedAtMs = Date.now();
    setNowMs(readAtMs);
    const timer = setInterval(() => setNowMs(readAtMs + Date.now() - receivedAtMs), 1_000);
    return () => clearInterval(timer);
  }, [readAtMs]);

  return <NowContext value={nowMs}>{children}</NowContext>;
}

/** Returns the server's time in milliseconds since the epoch. It changes once a second. */
export function useServerNow(): number {
  return useContext(NowContext);
}

/** Returns the time zone to show instants in: the browser's, or UTC while the page is as the server rendered it. */
export function useTimeZone(): string | undefined {
  return useSyncExternalStore(
    () => () => {},
    () => undefined,
    () => 'UTC',
  );
}
