import type { Clock } from '../../lib/engine/clock';

/**
 * A clock whose time passes only when nothing else happens. Real work (the database) is wrapped in `busy`; while any is under way no
 * time passes, so that a tick over a real database sees exactly the times its timers ask for.
 */
export class VirtualClock implements Clock {
  private at: number;
  private readonly timers: { at: number; order: number; fn: () => void }[] = [];
  private order = 0;
  private readonly work = new Set<Promise<unknown>>();

  constructor(start: string | number = '2026-03-02T12:00:00Z') {
    this.at = typeof start === 'number' ? start : Date.parse(start);
  }

  now(): number {
    return this.at;
  }

  date = (): Date => new Date(this.at);

  timer(ms: number, fn: () => void): () => void {
    const timer = { at: this.at + Math.max(0, ms), order: this.order++, fn };
    this.timers.push(timer);
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  }

  /** Real work: no time passes while it is under way. */
  busy<T>(work: Promise<T>): Promise<T> {
    this.work.add(work);
    const end = () => this.work.delete(work);
    work.then(end, end);
    return work;
  }

  /** Moves time without waking anybody. */
  skip(ms: number): void {
    this.at += ms;
  }

  /** Lets time pass, timer by timer, until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    for (;;) {
      await this.quiet();
      if (settled) return promise;
      this.timers.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.timers.shift();
      if (!next) throw new Error('nothing is under way and no timer is set: this would wait for ever');
      this.at = Math.max(this.at, next.at);
      next.fn();
    }
  }

  private async quiet(): Promise<void> {
    do {
      await Promise.allSettled(this.work);
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.work.size > 0);
  }
}
