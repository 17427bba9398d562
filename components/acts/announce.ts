const EVENT = 'punctual:announce';

/** Says what an act did, in the page's status region. */
export function announce(text: string): void {
  window.dispatchEvent(new CustomEvent(EVENT, { detail: text }));
}

/** Calls `onText` with each announcement. Returns a function that stops it. */
export function onAnnounce(onText: (text: string) => void): () => void {
  const listen = (event: Event) => onText((event as CustomEvent<string>).detail);
  window.addEventListener(EVENT, listen);
  return () => window.removeEventListener(EVENT, listen);
}
