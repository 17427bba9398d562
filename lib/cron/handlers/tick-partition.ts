import { systemClock } from '../../engine/ports/clock';
import type { Queue } from '../../engine/queue';
import { tick } from '../../engine/tick';
import type { TickReport } from '../../engine/tick-report';
import type { AnyQueue } from '../../queues/scheduled-queue';
import type { Container } from '../../services/container';
import type { ServerEnv } from '../../services/env';
import type { CronCall } from '../cron-call';
import type { CronWork } from '../cron-work';

export interface TickCall extends Partial<Omit<CronCall, 'params'>> {
  /** A region of `monitors`; `main` where the queue has no parts. */
  partition?: string;
  maxDuration: number;
  scheduler: string;
}

/** One tick by what the environment names. Throws as `tick` does, and a `NotConfiguredError`. */
export async function tickPartition<Row, Deps>(
  queue: Queue<Row, Deps, ServerEnv>,
  { env, ports }: Pick<Container, 'env' | 'ports'>,
  { maxDuration, startedAt = systemClock.now(), ...call }: TickCall,
): Promise<TickReport> {
  return tick(queue, ports, {
    ...call,
    deps: queue.connect(env),
    limitMs: maxDuration * 1_000,
    startedAt,
  });
}

/** One tick of a partition a call: of `main` where the queue has no parts. */
export function tickWork(queue: AnyQueue, partition = 'main'): CronWork {
  return async (shared, call) => {
    const report = await tickPartition(queue, shared, { ...call, partition });
    return { reports: [report], body: report };
  };
}
