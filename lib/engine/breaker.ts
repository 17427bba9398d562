import type { ProviderNote } from './ports/queue-store.ts';

/** Consecutive failures, with no response between them, that open a provider's breaker. */
const failuresToOpen = 5;

/**
 * Opens for a provider that fails repeatedly in one tick. The next exchange takes the note to the database, which pauses the provider for all
 * ticks.
 */
export class Breaker {
  private readonly failures = new Map<string, number>();
  private readonly open = new Map<string, string>();
  private readonly notes = new Map<string, ProviderNote>();
  private probing = new Set<string>();

  /** Sets the providers that are on probation: one failure opens the breaker, one response ends the probation. */
  setProbing(names: string[]): void {
    this.probing = new Set(names.filter((name) => !this.open.has(name)));
  }

  answered(provider: string): void {
    this.failures.delete(provider);
    if (this.probing.delete(provider)) this.notes.set(provider, { name: provider, ok: true });
  }

  failed(provider: string, error: string): void {
    const failures = (this.failures.get(provider) ?? 0) + 1;
    this.failures.set(provider, failures);
    if (this.open.has(provider) || failures < (this.probing.has(provider) ? 1 : failuresToOpen)) return;
    this.open.set(provider, error);
    this.notes.set(provider, { name: provider, ok: false, error });
  }

  /** Opens at once: the provider refuses our set-up. Counts each refused call, because the pause grows with the count. */
  refused(provider: string, error: string): void {
    this.probing.delete(provider);
    this.open.set(provider, error);
    const refused = (this.notes.get(provider)?.refused ?? 0) + 1;
    this.notes.set(provider, { name: provider, ok: false, error, refused });
  }

  isOpen(provider: string): boolean {
    return this.open.has(provider);
  }

  get everOpened(): boolean {
    return this.open.size > 0;
  }

  get hasNotes(): boolean {
    return this.notes.size > 0;
  }

  /** Takes the notes that the database does not have yet. */
  takeNotes(): ProviderNote[] {
    const notes = [...this.notes.values()];
    this.notes.clear();
    return notes;
  }

  /** Puts back the notes of a failed exchange. Newer notes win. */
  putBack(notes: ProviderNote[]): void {
    for (const note of notes) if (!this.notes.has(note.name)) this.notes.set(note.name, note);
  }
}
