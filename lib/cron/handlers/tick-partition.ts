import { systemClock } from '../../engine/ports/clock.ts';
import type { Queue } from '../../engine/queue.ts';
import { tick } from '../../engine/tick.ts';
import type { TickReport } from '../../engine/tick-report.ts';
import type { AnyQueue } from '../../queues/find-queue.ts';
import type { ServerEnv } from '../../services/env.ts';
import type { Services } from '../../services/services.ts';
import type { CronCall } from '../cron-call.ts';
import type { CronHandler } from '../cron-handler.ts';

export interface TickCall extends Partial<Omit<CronCall, 'params'>> {
  /** `main` unless the queue has named partitions. */
  partition?: string;
  maxDuration: number;
  scheduler: string;
}

/** Ticks one partition with the services and settings of the environment. Throws as `tick` does, and a `NotConfiguredError`. */
export async function tickPartition<Row, Deps>(
  queue: Queue<Row, Deps, ServerEnv>,
  { env, ports }: Pick<Services, 'env' | 'ports'>,
  { maxDuration, startedAt = systemClock.now(), ...call }: TickCall,
): Promise<TickReport> {
  return tick(queue, ports, {
    ...call,
    deps: queue.connect(env),
    limitMs: maxDuration * 1_000,
    startedAt,
  });
}

/** The handler that ticks one partition a call. */
export function tickHandler(queue: AnyQueue, partition = 'main'): CronHandler {
  return async (services, call) => {
    const report = await tickPartition(queue, services, { ...call, partition });
    return { reports: [report], body: report };
  };
}
