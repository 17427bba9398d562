import { type Clock, unsuspendedTime } from '../../lib/engine/ports/clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

interface Deferred {
  phase: 'timer' | 'answer';
  fn: () => void;
}

/**
 * One function instance of the platform. All that it hears of the world comes through here, so that it can be killed (nothing of it goes
 * on), frozen (it hears nothing until it thaws, and then everything at once) or suspended with its machine (frozen, and its monotonic clock
 * and its timers stand still meanwhile).
 */
export class SimulatedProcess {
  private state: 'running' | 'frozen' | 'over' = 'running';
  private deferred: Deferred[] = [];
  /** It was frozen, or time jumped while it ran: no promise about its end holds. */
  private isStalled = false;
  /** For how long its monotonic clock has stood still, in milliseconds. */
  private suspendedMs = 0;

  readonly clock: Clock;

  constructor(
    private readonly world: VirtualClock,
    private readonly onFate: (befallen: 'killed' | 'frozen' | 'suspended' | 'thawed') => void,
  ) {
    const now = unsuspendedTime(this.monotonic, () => world.now());
    this.clock = { now, timer: (ms, fn) => this.timer(ms, fn) };
  }

  private readonly monotonic = (): number => this.world.now() - this.suspendedMs;

  private timer(ms: number, fn: () => void): () => void {
    let cancelled = false;
    const due = this.monotonic() + ms;
    const hear = () => {
      const leftMs = due - this.monotonic();
      if (cancelled) return;
      if (leftMs > 0.001) cancel = this.world.timer(leftMs, () => this.hear('timer', hear));
      else fn();
    };
    let cancel = this.world.timer(ms, () => this.hear('timer', hear));
    return () => {
      cancelled = true;
      cancel();
    };
  }

  get isOver(): boolean {
    return this.state === 'over';
  }

  get stalled(): boolean {
    return this.isStalled;
  }

  /** Something reaches the process: at once, or when it thaws, or never. */
  hear(phase: Deferred['phase'], fn: () => void): void {
    if (this.state === 'running') fn();
    else if (this.state === 'frozen') this.deferred.push({ phase, fn });
  }

  /** Something befalls the process from without, if it still is there. */
  at(ms: number, fn: () => void): void {
    this.world.timer(ms, () => {
      if (!this.isOver) fn();
    });
  }

  /** It came to its own end. */
  end(): void {
    this.state = 'over';
    this.deferred = [];
  }

  kill(): void {
    if (this.isOver) return;
    this.end();
    this.onFate('killed');
  }

  /** Time jumped, for it as for all. */
  stall(): void {
    this.isStalled = true;
  }

  freeze(ms: number): void {
    this.stopFor(ms, 'frozen');
  }

  suspend(ms: number): void {
    this.stopFor(ms, 'suspended');
  }

  private stopFor(ms: number, how: 'frozen' | 'suspended'): void {
    if (this.state !== 'running') return;
    this.state = 'frozen';
    this.stall();
    this.onFate(how);
    this.world.timer(ms, () => {
      if (how === 'suspended') this.suspendedMs += ms;
      this.thaw();
    });
  }

  private thaw(): void {
    if (this.state !== 'frozen') return;
    this.state = 'running';
    this.onFate('thawed');
    // Node's loop runs the timers that are overdue before it reads what the sockets got.
    const timers = this.deferred.filter(({ phase }) => phase === 'timer');
    const answers = this.deferred.filter(({ phase }) => phase === 'answer');
    this.deferred = [];
    for (const { phase, fn } of [...timers, ...answers]) this.world.timer(0, () => this.hear(phase, fn));
  }
}
