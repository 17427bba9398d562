import { systemClock } from '../../lib/engine/ports/clock';
import { silentLog } from '../../lib/engine/ports/log';
import type { TickPorts } from '../../lib/engine/tick';
import { queueStore } from '../../lib/store/queue-store';
import type { Rpc } from '../../lib/store/rpc';

/** Of a tick whose time passes by itself, that locks nothing and logs nothing. */
export const realTimePorts = (rpc: Rpc): TickPorts => ({
  store: queueStore(rpc),
  clock: systemClock,
  log: silentLog,
  random: Math.random,
  newId: () => crypto.randomUUID(),
  lock: null,
});
