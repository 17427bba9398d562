import type { Clock } from './clock';
import type { Log } from './log';
import type { Finding, Queue } from './queue';
import type { UnknownRow } from './queue-store';
import type { Settling } from './settling';

/** Asks the providers what became of unknown rows, side by side, and hands what was found to `settling`. */
export class Reconciling<Row, Deps, Env> {
  private readonly cuts = new Set<() => void>();

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly deps: Deps,
    private readonly ports: { clock: Clock; log: Log },
    private readonly settling: Settling,
  ) {}

  /** Ends within the queue's timeout, whether or not the looks do. */
  async lookAt(rows: UnknownRow[]): Promise<void> {
    await Promise.all(rows.map((row) => this.look(row)));
  }

  /** Ends the looks that are under way: they cost nothing, and are made again. */
  cut(): void {
    for (const cut of [...this.cuts]) cut();
  }

  private async look(unknown: UnknownRow): Promise<void> {
    const { id, claimId, overSeconds } = unknown;
    try {
      const finding = await this.ask(unknown);
      this.settling.addFinding({ id, claimId, overSeconds, finding, failed: false });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const finding = {
        proofs: [],
        doubts: [],
        absentAfterMs: null,
        text: `it could not be found out: ${reason}`,
      };
      this.settling.addFinding({ id, claimId, overSeconds, finding, failed: true });
    }
  }

  private ask({ row, account, attemptedAt, evidence }: UnknownRow): Promise<Finding> {
    const { clock, log } = this.ports;
    const { timeoutMs } = this.queue;
    return new Promise((resolve, reject) => {
      const controller = new AbortController();
      const end = (why: string, error: string) => {
        controller.abort(new DOMException(why, 'TimeoutError'));
        reject(new Error(error));
      };
      const cut = () => end('the process ends', 'the process ended before it was answered');
      const cancel = clock.timer(timeoutMs, () =>
        end(`the look's ${timeoutMs} ms are over`, `no answer within ${timeoutMs} ms`),
      );
      this.cuts.add(cut);
      const { deps, queue } = this;
      Promise.resolve()
        .then(() => {
          if (!queue.reconcile) throw new Error(`${queue.name} has no reconcile`);
          const context = { deps, signal: controller.signal, log, account, attemptedAt, evidence };
          return queue.reconcile(queue.row.parse(row), context);
        })
        .then(resolve, reject)
        .finally(() => {
          this.cuts.delete(cut);
          cancel();
        });
    });
  }
}
