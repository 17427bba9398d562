import type { Clock } from '../engine/ports/clock.ts';

interface Timer {
  at: number;
  order: number;
  fn: (() => void) | null;
}

/**
 * A clock whose time passes only when nothing else happens. Real work, such as a database call, is wrapped in `busy`, and no time passes
 * while it runs. So a tick over a real database sees exactly the times of its timers.
 */
export class VirtualClock implements Clock {
  private at: number;
  /** A heap with the next timer first. Timers of one instant are in the order in which they were set. */
  private readonly timers: Timer[] = [];
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
    const timer: Timer = { at: this.at + Math.max(0, ms), order: this.order++, fn };
    this.push(timer);
    return () => {
      timer.fn = null;
    };
  }

  /** Wraps real work. No time passes while it runs. */
  busy<T>(work: Promise<T>): Promise<T> {
    this.work.add(work);
    const end = () => this.work.delete(work);
    work.then(end, end);
    return work;
  }

  /** Moves time without running timers. */
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
      const next = this.next();
      if (!next) throw new Error('nothing is under way and no timer is set: this would wait for ever');
      this.at = Math.max(this.at, next.at);
      next.fn?.();
    }
  }

  private async quiet(): Promise<void> {
    do {
      if (this.work.size > 0) await Promise.allSettled(this.work);
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.work.size > 0);
  }

  /** Takes the next timer that was not cancelled. */
  private next(): Timer | null {
    for (;;) {
      const timer = this.pop();
      if (!timer || timer.fn) return timer ?? null;
    }
  }

  private push(timer: Timer): void {
    const { timers } = this;
    let place = timers.push(timer) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(timer, timers[parent] as Timer)) break;
      timers[place] = timers[parent] as Timer;
      place = parent;
    }
    timers[place] = timer;
  }

  private pop(): Timer | undefined {
    const { timers } = this;
    const first = timers[0];
    const last = timers.pop();
    if (!last || timers.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= timers.length) break;
      if (child + 1 < timers.length && isBefore(timers[child + 1] as Timer, timers[child] as Timer)) child++;
      if (!isBefore(timers[child] as Timer, last)) break;
      timers[place] = timers[child] as Timer;
      place = child;
    }
    timers[place] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at - b.at < 0 || (a.at === b.at && a.order < b.order);
}
