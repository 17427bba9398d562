import { systemClock } from '../../lib/engine/ports/clock.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { TickPorts } from '../../lib/engine/tick.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';

/** Makes the ports of a tick in real time, without a lock and without logs. The database is told that it is `aheadMs` later. */
export const realTimePorts = (rpc: Rpc, aheadMs?: () => number): TickPorts => ({
  store: queueStore(rpc, aheadMs && (() => new Date(Date.now() + aheadMs()))),
  clock: systemClock,
  log: silentLog,
  random: Math.random,
  newId: () => crypto.randomUUID(),
  lock: null,
});
