import type { Clock } from '../../lib/engine/clock';
import type { VirtualClock } from '../support/virtual-clock';

interface Deferred {
  phase: 'timer' | 'answer';
  fn: () => void;
}

/**
 * One function instance of the platform. All that it hears of the world comes through here, so that it can be killed (nothing of it goes
 * on) or frozen (it hears nothing until it thaws, and then everything at once).
 */
export class SimulatedProcess {
  private state: 'running' | 'frozen' | 'over' = 'running';
  private deferred: Deferred[] = [];
  /** It was frozen, or time jumped while it ran: no promise about its end holds. */
  /** It was frozen, or time jumped while it ran: no promise about its end holds. */
  private isStalled = false;

  constructor(
    private readonly world: VirtualClock,
    private readonly onFate: (befallen: 'killed' | 'frozen' | 'thawed') => void,
  ) {}

  readonly clock: Clock = {
    now: () => this.world.now(),
    timer: (ms, fn) => {
      let cancelled = false;
      const cancel = this.world.timer(ms, () =>
        this.hear('timer', () => {
          if (!cancelled) fn();
        }),
      );
      return () => {
        cancelled = true;
        cancel();
      };
    },
  };

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
    if (this.state !== 'running') return;
    this.state = 'frozen';
    this.stall();
    this.onFate('frozen');
    this.world.timer(ms, () => this.thaw());
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
