import useSWR from 'swr';
import { fetchJson } from './fetch-json.ts';

const POLL_MS = 2_000;

interface PollingOptions<T> {
  /** The data until the first response arrives. */
  initial?: T;
  everyMs?: number;
}

/** Polls one of our routes. Null polls nothing. */
export function usePolling<T>(url: string | null, { initial, everyMs = POLL_MS }: PollingOptions<T> = {}) {
  return useSWR<T, Error>(url, fetchJson, {
    refreshInterval: everyMs,
    dedupingInterval: POLL_MS / 2,
    fallbackData: initial,
    // SWR stops its interval after an error, and its own retries come more and more slowly. This one comes every 2 s.
    onErrorRetry: (_error, _key, _config, revalidate, { retryCount }) => {
      setTimeout(() => void revalidate({ retryCount }), POLL_MS);
    },
  });
}
