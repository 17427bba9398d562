import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { migratePostgres } from '../../lib/store/migrate/migrate-postgres.ts';
import { readMigrations } from '../../lib/store/migrate/migrations.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { type PostgresVersion, startPostgresServer } from './postgres-server.ts';
import { startPostgrestServer } from './postgrest-server.ts';
import { type RestGateway, startRestGateway } from './rest-gateway.ts';
import { signJwt } from './sign-jwt.ts';
import { supabaseRoles } from './supabase-roles.ts';

interface StackOptions {
  /** Default: the variable STACK_POSTGRES, else 15. */
  postgres?: PostgresVersion;
  /** How to make the schema: from its `sources` (default), by the `migrations`, or `empty`. */
  schema?: 'sources' | 'migrations' | 'empty';
  /** Settings of the Postgres server, such as `shared_preload_libraries`. */
  settings?: Record<string, string>;
}

export interface Stack {
  /** The superuser's connection. */
  databaseUrl: string;
  /** The connection that Supabase gives its customers. Its role owns the database and is not a superuser. */
  ownerUrl: string;
  /** PostgREST behind the gateway, at `/rest/v1`: the value of SUPABASE_URL. */
  supabaseUrl: string;
  /** PostgREST itself, whose paths begin with `/rpc`. */
  postgrestUrl: string;
  gateway: RestGateway;
  serviceRoleKey: string;
  anonKey: string;
  authenticatedKey: string;
  /** Runs one statement as the superuser. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape, for assertions
  sql(text: string, params?: unknown[]): Promise<any[]>;
  /** Stops the database as a power failure would. */
  killPostgres(): Promise<void>;
  /**
   * Starts the database again, on the same port with all committed data. PostgREST serves it at once, but answers 400 with an empty `code`
   * for each broken connection of its pool. It drops those once it has reconnected (0, 1, 2, 4, … s after the loss). This waits for that,
   * unless `reconnected` is false.
   */
  startPostgres(options?: { reconnected?: boolean }): Promise<void>;
  postgresLog(): string;
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Starts Postgres with Supabase's roles and the schema, and PostgREST in front of it. */
export async function startStack({
  postgres: version = (process.env.STACK_POSTGRES as PostgresVersion | undefined) ?? '15',
  schema = 'sources',
  settings,
}: StackOptions = {}): Promise<Stack> {
  const postgres = await startPostgresServer(version, settings);
  const pool = new Pool({ connectionString: postgres.url, max: 8 });
  pool.on('error', () => {}); // idle connections break when the server is killed
  const stops = [() => pool.end(), () => postgres.stop()];
  const stop = async () => {
    for (const one of stops.splice(0)) await one();
  };
  try {
    const urlOf = (role: string) =>
      `postgres://${role}:${postgres.password}@127.0.0.1:${postgres.port}/postgres`;
    await pool.query(supabaseRoles(postgres.password));
    if (schema === 'empty') await pool.query('create schema punctual');
    else {
      const files = schema === 'migrations' ? await readMigrations() : [readSources(root)];
      await migratePostgres(urlOf('postgres'), files);
    }

    const jwtSecret = crypto.randomUUID() + crypto.randomUUID();
    const postgrest = await startPostgrestServer(urlOf('authenticator'), jwtSecret);
    stops.unshift(() => postgrest.stop());
    const gateway = await startRestGateway(postgrest.url);
    stops.unshift(() => gateway.stop());

    return {
      databaseUrl: postgres.url,
      ownerUrl: urlOf('postgres'),
      supabaseUrl: gateway.url,
      postgrestUrl: postgrest.url,
      gateway,
      serviceRoleKey: signJwt(jwtSecret, 'service_role'),
      anonKey: signJwt(jwtSecret, 'anon'),
      authenticatedKey: signJwt(jwtSecret, 'authenticated'),
      sql: async (text, params) => (await pool.query(text, params)).rows,
      killPostgres: () => postgres.kill(),
      async startPostgres({ reconnected = true } = {}) {
        await postgres.start();
        if (reconnected) await postgrest.ready();
      },
      postgresLog: postgres.tail,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
