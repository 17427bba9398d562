import useSWR from 'swr';
import { fetchJson } from './fetch-json';

const POLL_MS = 2_000;

interface ReadingOptions<T> {
  /** What is known before the first answer. */
  first?: T;
  everyMs?: number;
}

/** What a route of ours answers, kept fresh. Null reads nothing. */
export function useReading<T>(url: string | null, { first, everyMs = POLL_MS }: ReadingOptions<T> = {}) {
  return useSWR<T, Error>(url, fetchJson, {
    refreshInterval: everyMs,
    dedupingInterval: POLL_MS / 2,
    fallbackData: first,
    // SWR stops its interval while there is an error; this keeps the pace without its growing pauses.
    onErrorRetry: (_error, _key, _config, revalidate, { retryCount }) => {
      setTimeout(() => void revalidate({ retryCount }), POLL_MS);
    },
  });
}
