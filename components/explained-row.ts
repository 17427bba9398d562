import { useSyncExternalStore } from 'react';

/**
 * Returns the URL fragment that shows the explanation of a row, so that every row id is a link and can be shared. Without an id it is the
 * form's: `#why-dm_queue`.
 */
export function explanationHash(queue: string, id?: string): string {
  return id === undefined ? `#why-${queue}` : `#why-${queue}-${id}`;
}

/** Returns the id that the URL's fragment names in this queue, or null. */
export function useExplainedRow(queue: string): string | null {
  const hash = useSyncExternalStore(
    subscribe,
    () => window.location.hash,
    () => '',
  );
  const start = `${explanationHash(queue)}-`;
  const id = hash.startsWith(start) ? hash.slice(start.length) : '';
  return /^[\w.:-]+$/.test(id) ? id : null;
}

function subscribe(onChange: () => void): () => void {
  window.addEventListener('hashchange', onChange);
  return () => window.removeEventListener('hashchange', onChange);
}
