import type { Clock } from './clock';
import type { Log } from './log';
import type { Finding, Queue } from './queue';
import type { UnknownRow } from './queue-store';
import type { Settling } from './settling';

/** Asks the providers what became of unknown rows, side by side, and hands what was found to `settling`. */
export class Reconciling<Row, Deps, Env> {
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
      const cancel = clock.timer(timeoutMs, () => {
        controller.abort(new DOMException(`the look's ${timeoutMs} ms are over`, 'TimeoutError'));
        reject(new Error(`no answer within ${timeoutMs} ms`));
      });
      const { deps, queue } = this;
      Promise.resolve()
        .then(() => {
          if (!queue.reconcile) throw new Error(`${queue.name} has no reconcile`);
          const context = { deps, signal: controller.signal, log, account, attemptedAt, evidence };
          return queue.reconcile(queue.row.parse(row), context);
        })
        .then(resolve, reject)
        .finally(cancel);
    });
  }
}
