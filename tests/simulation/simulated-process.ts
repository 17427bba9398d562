import { type Clock, unsuspendedTime } from '../../lib/engine/ports/clock.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';

interface Deferred {
  phase: 'timer' | 'response';
  fn: () => void;
}

/**
 * One function instance of the platform. Every timer and response reaches it through this class, so that it can be killed (it ends), frozen
 * (it receives nothing until it thaws, and then everything at once) or suspended with its machine (frozen, with its monotonic clock and its
 * timers stopped).
 */
export class SimulatedProcess {
  private state: 'running' | 'frozen' | 'over' = 'running';
  private deferred: Deferred[] = [];
  /** It was frozen, or time jumped while it ran, so it may outlive its limit. */
  private isStalled = false;
  /** Milliseconds that its monotonic clock has been stopped. */
  private suspendedMs = 0;

  readonly clock: Clock;

  constructor(
    private readonly world: VirtualClock,
    private readonly onFate: (event: 'killed' | 'frozen' | 'suspended' | 'thawed') => void,
  ) {
    const now = unsuspendedTime(this.monotonic, () => world.now());
    this.clock = { now, timer: (ms, fn) => this.timer(ms, fn) };
  }

  private readonly monotonic = (): number => this.world.now() - this.suspendedMs;

  private timer(ms: number, fn: () => void): () => void {
    let cancelled = false;
    const due = this.monotonic() + ms;
    const fire = () => {
      const leftMs = due - this.monotonic();
      if (cancelled) return;
      if (leftMs > 0.001) cancel = this.world.timer(leftMs, () => this.receive('timer', fire));
      else fn();
    };
    let cancel = this.world.timer(ms, () => this.receive('timer', fire));
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

  /** Delivers a timer or a response to the process: at once if it runs, when it thaws if it is frozen, or never. */
  receive(phase: Deferred['phase'], fn: () => void): void {
    if (this.state === 'running') fn();
    else if (this.state === 'frozen') this.deferred.push({ phase, fn });
  }

  /** Runs `fn` after a delay unless the process has ended. */
  at(ms: number, fn: () => void): void {
    this.world.timer(ms, () => {
      if (!this.isOver) fn();
    });
  }

  /** Ends the process normally. */
  end(): void {
    this.state = 'over';
    this.deferred = [];
  }

  kill(): void {
    if (this.isOver) return;
    this.end();
    this.onFate('killed');
  }

  /** Notes that time jumped or stopped for the process. */
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
    // Node's event loop runs overdue timers before it reads the sockets.
    const timers = this.deferred.filter(({ phase }) => phase === 'timer');
    const responses = this.deferred.filter(({ phase }) => phase === 'response');
    this.deferred = [];
    for (const { phase, fn } of [...timers, ...responses]) this.world.timer(0, () => this.receive(phase, fn));
  }
}
