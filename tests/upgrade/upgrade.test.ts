import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateEmbedded } from '../../lib/store/embedded/migrate-embedded.ts';
import { pgliteRpc } from '../../lib/store/embedded/pglite-rpc.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { compareCatalogues } from '../../scripts/schema/catalogue.ts';
import { catalogueOf, catalogueOfFiles, readOwnMigrations } from '../../scripts/schema/make-database.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { exchanges, finding } from '../support/exchanges.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { filledAt } from './fill-database.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dumps = new URL('../fixtures/upgrade/', import.meta.url);
const releases = readdirSync(dumps).map((file) => file.replace('.sql.gz', ''));

it('the migrations produce the schema of the sources', async () => {
  const [migrated, made] = await Promise.all([
    catalogueOfFiles(await readOwnMigrations()),
    catalogueOfFiles([readSources(root)]),
  ]);
  const changes = compareCatalogues(migrated, made);
  const names = Object.entries(changes).flatMap(([how, list]) =>
    list.map(({ name }: { name: string }) => `${how}: ${name}`),
  );
  expect(names, 'Run `npm run migration -- <name>`.').toEqual([]);
});

it('there is a dump of each release to start from', () => {
  expect(releases).toContain('0.2.0');
});

describe.each(releases)('a database of %s with rows in every state', (release) => {
  let db: PGlite;
  let database: TestDatabase;
  let sql: ReturnType<typeof exchanges>;
  let before: unknown[];

  /** Counts the rows that no migration may lose: of every table, and each queue's by status. */
  const counts = async () => {
    const tables = await database.sql(
      `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('punctual', 'public') and c.relkind = 'r' and c.relname not in ('templates', 'schema_migrations') order by 1`,
    );
    const queues = await database.sql(
      `select format('%I.%I', table_schema, table_name) as name, status_column as status from punctual.queues where source = 'table' order by 1`,
    );
    const parts = [
      ...tables.map(({ name }) => `select '${name}' as what, count(*)::integer as rows from ${name}`),
      ...queues.map(
        ({ name, status }) =>
          `select '${name} ' || ${status}::text, count(*)::integer from ${name} group by ${status}`,
      ),
    ];
    return database.sql(`${parts.join(' union all ')} order by 1`);
  };

  beforeAll(async () => {
    db = await PGlite.create();
    await db.exec(
      'create role anon; create role authenticated; create role service_role bypassrls; create role authenticator;',
    );
    await db.exec(gunzipSync(readFileSync(new URL(`${release}.sql.gz`, dumps))).toString());
    await db.exec(`set search_path = public; set punctual.call_ms = 60000`);
    database = {
      rpc: pgliteRpc(db),
      sql: async (text, params = []) => JSON.parse(JSON.stringify((await db.query(text, params)).rows)),
    } as TestDatabase;
    sql = exchanges(database);
    sql.setNow(filledAt);
    before = await counts();
    await migrateEmbedded(db, await readOwnMigrations());
  });
  afterAll(() => db.close());

  it('takes the later migrations and loses no row', async () => {
    expect(await database.rpc('schema_version', {})).toBe(schemaVersion);
    // A migration may add a table.
    expect(await counts()).toEqual(expect.arrayContaining(before));
  });

  it('then has the schema of the sources, beside its own tables', async () => {
    const sources = await catalogueOfFiles([readSources(root)]);
    const { added, changed, removed } = compareCatalogues(await catalogueOf(db), sources);
    const withoutRows = ({ name }: { name: string }) =>
      !/^(partition|settings|region|schema (public|extensions))\b/.test(name);
    expect([...added, ...changed].filter(withoutRows).map(({ name }) => name)).toEqual([]);
    const others = removed.filter(withoutRows).filter(({ name }) => !/free_trials|set_updated_at/.test(name));
    expect(others.map(({ name }) => name)).toEqual([]);
  });

  it('sends its due rows, marks those of a dead tick unknown, and resolves them by proof', async () => {
    // By then the open tick's limit of 60 s and the lease of its rows have passed.
    sql.pass(3_600);
    await sql.drain('done', { result: { provider_message_id: 'm-later' } });
    const states = Object.fromEntries(
      (await database.sql('select body, status from punctual.dm_queue')).map(({ body, status }) => [
        body,
        status,
      ]),
    );
    expect(states).toMatchObject({
      due: 'sent',
      running: 'unknown',
      refused: 'sent',
      dead: 'failed',
      paused: 'pending',
    });

    sql.pass(600);
    const unknown = (await sql.takeUnknown()).filter(({ row }) => row.body === 'running');
    expect(unknown).toHaveLength(1);
    const proof = [{ message_id: 'm-running' }];
    await sql.settleFindings(unknown.map((one) => finding(one, { proof, text: 'found' })));
    expect(await database.sql(`select status from punctual.dm_queue where body = 'running'`)).toEqual([
      { status: 'sent' },
    ]);
  });

  it('settles rows of a table of your own through regenerated functions', async () => {
    const tick = sql.tick({ queue: 'free_trials' });
    const { rows, claimId } = await tick.claim();
    expect(rows.map(({ row }) => row.email)).toContain('pending@a.example');
    await tick.settle(
      rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' })),
      { close: true },
    );
    expect(
      await database.sql(`select status from public.free_trials where email = 'pending@a.example'`),
    ).toEqual([{ status: 'finished' }]);
  });

  it('lists and explains every row from before the migrations', async () => {
    let explained = 0;
    for (const queue of ['dm_queue', 'posts', 'jobs', 'free_trials', 'enrolments']) {
      for (const state of ['pending', 'done', 'dead', 'unknown', 'cancelled']) {
        const page = { p_queue: queue, p_filter: { status: [state] }, p_now: sql.now };
        const { items } = (await database.rpc('list_rows', page)) as { items: { id: string }[] };
        for (const { id } of items) {
          const call = { p_queue: queue, p_id: String(id), p_configured: null, p_now: sql.now };
          expect(await database.rpc('explain_row', call), `${queue} ${id}`).toMatchObject({ queue, state });
          explained++;
        }
      }
    }
    expect(explained).toBeGreaterThan(20);
  });
});
