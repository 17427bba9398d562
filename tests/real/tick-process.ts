import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lib/engine/ports/clock.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { Queue } from '../../lib/engine/queue.ts';
import { tick } from '../../lib/engine/tick.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { upstashLock } from '../../lib/locks/upstash-lock.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { realTimePorts } from '../support/real-time-ports.ts';

/** The services that a tick talks to. */
export interface TickSettings {
  supabaseUrl: string;
  serviceRoleKey: string;
  redis?: { url: string; token: string };
  unipile?: { dsn: string; apiKey: string };
  limitMs?: number;
  /** How much later the database is told that it is, so that leases and deadlines pass without a wait. */
  aheadMs?: number;
  /** Default: `main`. */
  partition?: string;
}

/** Runs one tick of `queue` over supabase-js, with connections, a clock and a lock as in production. */
export function stackTick<Row, Deps, Env>(
  queue: Queue<Row, Deps, Env>,
  deps: Deps,
  settings: TickSettings,
  fetch?: typeof globalThis.fetch,
): Promise<TickReport> {
  const { supabaseUrl: url, serviceRoleKey, redis, limitMs = 60_000, aheadMs, partition } = settings;
  const ports = realTimePorts(
    supabaseRpc({ url, serviceRoleKey, fetch }),
    aheadMs === undefined ? undefined : () => aheadMs,
  );
  const lock = redis ? upstashLock({ ...redis, clock: systemClock, log: silentLog }) : null;
  return tick(queue, { ...ports, lock }, { deps, limitMs, scheduler: 'test', partition });
}

/** Runs one tick of the real `dmQueue` with its real providers. */
export function dmTick(settings: TickSettings): Promise<TickReport> {
  return stackTick(dmQueue, dmQueue.connect({ unipile: settings.unipile }), settings);
}

const file = fileURLToPath(import.meta.url);

/** Starts `dmTick` in a process of its own, without a shell or npm between, which would get the kill signal instead. */
export function startTickProcess(settings: TickSettings): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', file], {
    env: { ...process.env, TICK_SETTINGS: JSON.stringify(settings) },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

if (process.argv[1] === file) await dmTick(JSON.parse(process.env.TICK_SETTINGS ?? ''));
