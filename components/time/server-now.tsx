import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';

const NowContext = createContext(0);

/**
 * The server's time, kept going by the browser's clock between two readings. A browser that is wrong by an
 * hour thus still says `12 s ago`, and the first render is the same on both sides.
 */
export function ServerNow({ reading, children }: { reading: string; children: ReactNode }) {
  const readingMs = Date.parse(reading);
  const [nowMs, setNowMs] = useState(readingMs);

  useEffect(() => {
    const receivedAtMs = Date.now();
    setNowMs(readingMs);
    const timer = setInterval(() => setNowMs(readingMs + Date.now() - receivedAtMs), 1_000);
    return () => clearInterval(timer);
  }, [readingMs]);

  return <NowContext value={nowMs}>{children}</NowContext>;
}

/** Milliseconds since the epoch, by the server's clock; moves once a second. */
export function useServerNow(): number {
  return useContext(NowContext);
}
