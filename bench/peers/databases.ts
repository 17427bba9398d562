import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { migratePostgres } from '../../lib/store/migrate/migrate-postgres.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import type { Servers } from './contenders/contender.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A database with Punctual's schema on the same server. */
export interface Database {
  url: string;
  /** The owner's connection. */
  client: Client;
  drop(): Promise<void>;
}

let made = 0;

/** Creates a database, for rows that would slow other contenders or be slowed by theirs. */
export async function createDatabase({ databaseUrl }: Servers): Promise<Database> {
  const name = `bench_${++made}`;
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  const run = async (text: string) => {
    const admin = new Client({ connectionString: databaseUrl });
    await admin.connect();
    await admin.query(text);
    await admin.end();
  };
  await run(`create database ${name}`);
  await migratePostgres(url.href, [readSources(root)]);
  const client = new Client({ connectionString: url.href });
  // If a scenario fails, the server may stop first. The scenario's error is the one to report.
  client.on('error', () => {});
  await client.connect();
  return {
    url: url.href,
    client,
    async drop() {
      await client.end();
      await run(`drop database ${name} with (force)`);
    },
  };
}
