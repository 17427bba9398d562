import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgliteRpc } from '../../lib/store/embedded/pglite-rpc.ts';
import { readMigrations } from '../../lib/store/migrate/migrations.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { compareCatalogues, readCatalogue } from '../../scripts/schema/catalogue.ts';
import { makeDatabase, migrateEmbedded } from '../../scripts/schema/make-database.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { exchanges, finding } from '../support/exchanges.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { filledAt } from './fill-database.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dumps = new URL('../fixtures/upgrade/', import.meta.url);
const releases = readdirSync(dumps).map((file) => file.replace('.sql.gz', ''));

const catalogueOf = (db: PGlite) =>
  readCatalogue(async (sql) => (await db.query<Record<string, unknown>>(sql)).rows);

it('the migrations produce the schema of the sources', async () => {
  const [migrated, made] = await Promise.all([
    makeDatabase(await readMigrations()),
    makeDatabase([readSources(root)]),
  ]);
  const changes = compareCatalogues(await catalogueOf(migrated), await catalogueOf(made));
  const names = Object.entries(changes).flatMap(([how, list]) =>
    list.map(({ name }: { name: string }) => `${how}: ${name}`),
  );
  expect(names, 'Run `npm run migration -- <name>`.').toEqual([]);
  await Promise.all([migrated.close(), made.close()]);
});

describe.each(releases)('a database of %s with rows in every state', (release) => {
  let db: PGlite;
  let database: TestDatabase;
  let sql: ReturnType<typeof exchanges>;
  let before: Record<string, unknown>;

  /** Counts the rows that no migration may lose: each queue's by status, and those of other tables. */
  const counts = async () => {
    const [row] = await database.sql(`select jsonb_build_object(
      'dms', (select jsonb_object_agg(s, n) from (select status s, count(*) n from punctual.dm_queue group by 1) x),
      'posts', (select jsonb_object_agg(s, n) from (select status s, count(*) n from punctual.posts group by 1) x),
      'jobs', (select jsonb_object_agg(s, n) from (select status s, count(*) n from punctual.jobs group by 1) x),
      'trials', (select jsonb_object_agg(s, n) from (select status s, count(*) n from public.free_trials group by 1) x),
      'enrolments', (select jsonb_object_agg(s, n) from (select phase s, count(*) n from punctual.enrolments group by 1) x),
      'others', (select jsonb_build_array((select count(*) from punctual.accounts), (select count(*) from punctual.receipts),
        (select count(*) from punctual.history), (select count(*) from punctual.ticks), (select count(*) from punctual.monitors),
        (select count(*) from punctual.daily_outcomes)))) as counts`);
    return row.counts;
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
    await migrateEmbedded(db, await readMigrations());
  });
  afterAll(() => db.close());

  it('takes the later migrations and loses no row', async () => {
    expect(await database.rpc('schema_version', {})).toBe(schemaVersion);
    expect(await counts()).toEqual(before);
  });

  it('then has the schema of the sources, beside its own tables', async () => {
    const made = await makeDatabase([readSources(root)]);
    const { added, changed, removed } = compareCatalogues(await catalogueOf(db), await catalogueOf(made));
    await made.close();
    const withoutRows = ({ name }: { name: string }) =>
      !/^(partition|settings|schema (public|extensions))\b/.test(name);
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
      refused: 'unknown',
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
    for (const queue of ['dm_queue', 'posts', 'jobs', 'free_trials', 'enrolments']) {
      for (const state of ['pending', 'done', 'dead', 'unknown']) {
        const page = { p_queue: queue, p_state: state, p_now: sql.now };
        const { items } = (await database.rpc('list_rows', page)) as { items: { id: string }[] };
        for (const { id } of items) {
          const call = { p_queue: queue, p_id: String(id), p_configured: null, p_now: sql.now };
          expect(await database.rpc('explain_row', call), `${queue} ${id}`).toMatchObject({ queue, state });
        }
      }
    }
  });
});
