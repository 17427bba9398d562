import type { ProviderNote } from './ports/queue-store';

/** Failures in a row, without one answer between them, after which a provider counts as failed as a whole. */
const failuresToOpen = 5;

/**
 * Watches each provider through one tick. What it learns travels to the database with the next exchange, where the
 * pause is kept: all ticks then leave the provider alone.
 */
export class Breaker {
  private readonly failures = new Map<string, number>();
  private readonly open = new Map<string, string>();
  private readonly notes = new Map<string, ProviderNote>();
  private probing = new Set<string>();

  /** Providers that failed before: one failure more is enough, one answer ends it. */
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

  /** It refuses our set-up: no further row is spent on it. Each call that meets that counts, since the pause grows with it. */
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

  /** What the database does not know yet. */
  takeNotes(): ProviderNote[] {
    const notes = [...this.notes.values()];
    this.notes.clear();
    return notes;
  }

  /** Notes whose exchange failed. */
  giveBack(notes: ProviderNote[]): void {
    for (const note of notes) if (!this.notes.has(note.name)) this.notes.set(note.name, note);
  }
}
