import { useSyncExternalStore } from 'react';

/**
 * The row that is asked about stands in the address behind the `#`, so that every row id is a plain link and the answer can be sent to
 * somebody. `#why-dm_queue` alone is the form.
 */
export function askHash(queue: string, id?: string): string {
  return id === undefined ? `#why-${queue}` : `#why-${queue}-${id}`;
}

/** The id that the address asks about in this queue; null for none. */
export function useAskedRow(queue: string): string | null {
  const hash = useSyncExternalStore(
    subscribe,
    () => window.location.hash,
    () => '',
  );
  const start = `${askHash(queue)}-`;
  const id = hash.startsWith(start) ? hash.slice(start.length) : '';
  return /^[\w.:-]+$/.test(id) ? id : null;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}
