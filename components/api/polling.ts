import type { SWRConfiguration } from 'swr';

const POLL_MS = 2_000;

/** Figures that are kept fresh. */
export const polling = {
  refreshInterval: POLL_MS,
  dedupingInterval: POLL_MS / 2,
  // SWR stops its interval while there is an error; this keeps the pace without its growing pauses.
  onErrorRetry: (_error, _key, _config, revalidate, { retryCount }) => {
    setTimeout(() => void revalidate({ retryCount }), POLL_MS);
  },
} satisfies SWRConfiguration;
