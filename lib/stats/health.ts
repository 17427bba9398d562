import { z } from 'zod';
import { errorMessage } from '../http/error-response';
import { accessEnv } from '../services/env';
import { serverLog } from '../services/log';
import { getServices } from '../services/services';
import { sharedReading } from '../services/shared-reading';
import { schemaState } from '../store/schema-version';

export interface Health {
  status: 'ok' | 'failing';
  database: 'ok' | 'failing';
  /** `behind`: `npm run migrate` has to be run; nothing ticks until then. `ahead`: newer code is to be deployed, which harms nothing. */
  schema: 'ok' | 'behind' | 'ahead' | 'unknown';
  /** `none` where no lock is configured; the exchange keeps ticks apart then. A failing lock fails nothing. */
  lock: 'ok' | 'failing' | 'none';
  /** Seconds since each queue's last tick; null where there was none yet. */
  lastTickSeconds: Record<string, number | null>;
  /** Why the database fails, and what to do. In development on the embedded database only. */
  reason?: string;
}

const answer = z.object({
  schema: z.string().nullish(),
  queues: z.array(z.object({ name: z.string(), last_tick_seconds: z.number().nullable() })),
});

/** Anybody may ask, and each question costs a call and a Redis command: the answer is kept for this long. */
const keepMs = 5_000;
const kept = sharedReading<Health>(keepMs, () => Date.now());

/** Why the database failed the latest check; null where it did not. It is logged once for as long as it stays the same. */
let logged: string | null = null;

/** Says how things are, and never why but in development. Never throws. */
export const readHealth = (): Promise<Health> => kept.get(askHealth);

async function askHealth(): Promise<Health> {
  const health: Health = {
    status: 'failing',
    database: 'failing',
    schema: 'unknown',
    lock: 'none',
    lastTickSeconds: {},
  };
  try {
    const { env, rpc, lock, log } = await getServices();
    const [known, attempt] = await Promise.all([
      rpc('read_health', {})
        .then((value) => answer.parse(value))
        .catch(async (error) => {
          const reason = await explain(error, (fields) =>
            log.warn(fields, 'the database failed its health check'),
          );
          if (accessEnv().sqlOpen && env.store.kind === 'embedded') health.reason = reason;
          return null;
        }),
      lock?.acquire('health', 1_000),
    ]);
    if (attempt) health.lock = attempt.state === 'unavailable' ? 'failing' : 'ok';
    if (known) {
      logged = null;
      health.database = 'ok';
      health.schema = schemaState(known.schema ?? null);
      health.status = health.schema === 'behind' ? 'failing' : 'ok';
      health.lastTickSeconds = Object.fromEntries(
        known.queues.map((queue) => [queue.name, queue.last_tick_seconds]),
      );
    }
  } catch (error) {
    // The environment is wrong, or the embedded database cannot be opened: a migration was refused, say.
    const reason = await explain(error, (fields) =>
      serverLog('error').error(fields, 'the server is not set up'),
    );
    if (accessEnv().sqlOpen) health.reason = reason;
  }
  return health;
}

/** Answers the text that other routes answer to the error. */
async function explain(error: unknown, log: (fields: object) => void): Promise<string> {
  const reason = await errorMessage(error);
  if (reason !== logged) log({ err: error });
  logged = reason;
  return reason;
}
