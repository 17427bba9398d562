import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Pool } from 'pg';
import { StoreError } from '../engine/ports/store-error.ts';
import { callText } from './call-text.ts';
import type { Rpc } from './rpc.ts';
import { storeErrorKind } from './store-error-kind.ts';

/** The server cancels a call after this, as behind PostgREST. */
const statementMs = 4_000;
/** No response comes later. */
const timeoutMs = 5_000;

/**
 * Calls `onInsert` with the name of each queue that gets rows, until `signal` fires. Connects again if the connection breaks, and then calls
 * `onInsert(null)`: rows of any queue may have come meanwhile. Never throws: calls `onFault` with the reason, once while it stays the same.
 */
export type Listen = (options: {
  onInsert: (queue: string | null) => void;
  onFault: (reason: string) => void;
  signal: AbortSignal;
}) => void;

export interface PostgresRpc {
  rpc: Rpc;
  listen: Listen;
  close(): Promise<void>;
}

/**
 * `Rpc` over direct connections to Postgres, for a process that lives longer than a call. `connections` is the most of them, besides the one that
 * listens. A pooler in transaction mode passes no notifications on, so rows are then found at the next slot.
 */
export function postgresRpc({ url, connections = 10 }: { url: string; connections?: number }): PostgresRpc {
  const pool = new Pool({
    connectionString: url,
    max: connections,
    application_name: 'punctual',
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: statementMs,
    query_timeout: timeoutMs,
  });
  // A connection that breaks while it is idle is replaced by the next call.
  pool.on('error', () => {});
  const { host } = new URL(url);
  const parameters = new Map<string, Promise<Map<string, string>>>();

  /** Reads the types of a function's parameters by name, once for each function. */
  function parametersOf(fn: string): Promise<Map<string, string>> {
    const known = parameters.get(fn) ?? readParameters(pool, fn);
    parameters.set(fn, known);
    known.catch(() => parameters.delete(fn));
    return known;
  }

  return {
    async rpc(fn, args) {
      try {
        const types = await parametersOf(fn);
        const names = Object.keys(args).filter((name) => args[name] !== undefined);
        const values = names.map((name) => encode(args[name], types.get(name)));
        const { rows } = await pool.query(callText(fn, names), values);
        return rows[0]?.result;
      } catch (error) {
        const {
          code = null,
          message,
          hint,
          detail,
        } = error as { code?: string; message: string; hint?: string; detail?: string };
        const isOfPostgres = code !== null && /^[0-9A-Z]{5}$/.test(code);
        const reason = isOfPostgres ? message : `Postgres at ${host} did not answer: ${message}`;
        throw new StoreError(
          storeErrorKind(isOfPostgres ? code : null),
          hint ? `${reason} (${hint})` : reason,
          code,
          { cause: error, detail },
        );
      }
    },
    listen: (options) => void listenTo(url, options),
    close: () => pool.end(),
  };
}

const reconnectMs = 5_000;

async function listenTo(url: string, { onInsert, onFault, signal }: Parameters<Listen>[0]): Promise<void> {
  let reported: string | null = null;
  while (!signal.aborted) {
    const client = new Client({
      connectionString: url,
      application_name: 'punctual listen',
      connectionTimeoutMillis: timeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    // An `error` without a listener would end the process. The end of the connection is awaited below.
    client.on('error', () => {});
    client.on('notification', ({ payload }) => onInsert(payload || null));
    try {
      const ended = once(client, 'end', { signal });
      ended.catch(() => {});
      await client.connect();
      await client.query('select punctual.listen_for_inserts()');
      await client.query('listen punctual');
      reported = null;
      onInsert(null);
      await ended;
    } catch (error) {
      const { message } = error as Error;
      if (!signal.aborted && message !== reported) onFault(message);
      reported = message;
    }
    await client.end().catch(() => {});
    await sleep(reconnectMs, undefined, { signal }).catch(() => {});
  }
}

async function readParameters(pool: Pool, fn: string): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ name: string; type: string }>(
    `select a.name, a.type::regtype::text as type
       from pg_catalog.pg_proc p cross join lateral unnest(p.proargnames, p.proargtypes::oid[]) as a (name, type)
      where p.pronamespace = 'punctual'::regnamespace and p.proname = $1 and a.type is not null`,
    [fn],
  );
  return new Map(rows.map(({ name, type }) => [name, type]));
}

/** The driver makes an array of SQL of an array. */
function encode(value: unknown, type: string | undefined): unknown {
  return value !== null && (type === 'jsonb' || type === 'json') ? JSON.stringify(value) : value;
}
