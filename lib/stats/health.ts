import { z } from 'zod';
import { errorMessage } from '../http/error-response.ts';
import { accessEnv } from '../services/env.ts';
import { serverLog } from '../services/log.ts';
import { getServices } from '../services/services.ts';
import { sharedReading } from '../services/shared-reading.ts';
import { schemaState } from '../store/migrate/schema-version.ts';

export const healthSchema = z.object({
  status: z.enum(['ok', 'failing']),
  database: z.enum(['ok', 'failing']),
  schema: z
    .enum(['ok', 'behind', 'ahead', 'unknown'])
    .describe(
      '`behind`: nothing ticks until `npm run migrate` has run. `ahead`: the database serves this older code, so it is harmless; deploy the newer code.',
    ),
  lock: z
    .enum(['ok', 'failing', 'none'])
    .describe(
      '`none`: no lock is configured, and the exchange alone keeps ticks apart. A failing lock does not change `status`.',
    ),
  lastTickSeconds: z
    .record(z.string(), z.number().nullable())
    .describe("Seconds since each queue's last tick; null before the first one."),
  reason: z
    .string()
    .optional()
    .describe('Why the check failed, and the remedy. Only in development and in the demo.'),
});

export type Health = z.infer<typeof healthSchema>;

const responseSchema = z.object({
  schema: z.string().nullish(),
  queues: z.array(z.object({ name: z.string(), last_tick_seconds: z.number().nullable() })),
});

/** Everyone may read the health. Each check costs a database call and a Redis command, so a result is kept for this long. */
const keepMs = 5_000;
const shared = sharedReading<Health>(keepMs, () => Date.now());

/** Why the latest check failed; null if it passed. The same reason is logged once. */
let logged: string | null = null;

/** Reads the server's health. The reason of a failure is included only in development and in the demo. Never throws. */
export const readHealth = (): Promise<Health> => shared.get(checkHealth);

async function checkHealth(): Promise<Health> {
  const health: Health = {
    status: 'failing',
    database: 'failing',
    schema: 'unknown',
    lock: 'none',
    lastTickSeconds: {},
  };
  try {
    const { env, rpc, lock, log } = await getServices();
    const [known, acquired] = await Promise.all([
      rpc('read_health', {})
        .then((value) => responseSchema.parse(value))
        .catch(async (error) => {
          const reason = await explain(error, (fields) =>
            log.warn(fields, 'the database failed its health check'),
          );
          if (accessEnv().sqlOpen && env.store.kind === 'embedded') health.reason = reason;
          return null;
        }),
      lock?.acquire('health', 1_000),
    ]);
    if (acquired) health.lock = acquired.state === 'unavailable' ? 'failing' : 'ok';
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
    // The environment is invalid, or the embedded database cannot be opened, for example because a migration failed.
    const reason = await explain(error, (fields) =>
      serverLog('error').error(fields, 'the server is not set up'),
    );
    if (accessEnv().sqlOpen) health.reason = reason;
  }
  return health;
}

/** Returns the message with which other routes respond to the error, and logs the error unless it was logged last. */
async function explain(error: unknown, log: (fields: object) => void): Promise<string> {
  const reason = await errorMessage(error);
  if (reason !== logged) log({ err: error });
  logged = reason;
  return reason;
}
