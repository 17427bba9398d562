import { describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase } from '../support/own-tables.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

/** Runs one statement as the role of the ticks. */
const asServiceRole = (statement: string) =>
  database.sql(`do $do$ begin set local role service_role; ${statement}; end $do$`);

/** The settings that an operator may change, each with a new value. */
const settings: Record<string, string> = {
  ...{ batch_limit: '7', concurrency: '7', adaptive: 'true', budget_seconds: '7', max_ticks: '7' },
  ...{ max_continuations: '7', timeout_seconds: '17', lease_seconds: '97', max_attempts: '7' },
  ...{ backoff_base_seconds: '7', backoff_cap_seconds: '777', retention_days: '7' },
  ...{ paused_at: 'now()', paused_until: 'now()', paused_reason: `'holiday'` },
};

describe('the registry of queues', () => {
  it('lets the service role change every setting, but not the definition of a queue', async () => {
    for (const [column, value] of Object.entries(settings)) {
      await asServiceRole(`update punctual.queues set ${column} = ${value} where name = 'dm_queue'`);
    }
    const columns = await database.sql(
      `select attname as name from pg_attribute where attrelid = 'punctual.queues'::regclass and attnum > 0 and not attisdropped`,
    );
    const definition = columns.map(({ name }) => name).filter((name) => !(name in settings));
    expect(definition).toContain('after_settle');
    for (const column of definition) {
      await expect(asServiceRole(`update punctual.queues set ${column} = ${column}`)).rejects.toThrow(
        'permission denied for table queues',
      );
    }
  });

  it.each([
    'insert into punctual.queues select * from punctual.queues where false',
    'delete from punctual.queues where false',
    'truncate punctual.queues cascade',
    // The source of a queue's functions.
    `insert into punctual.templates (verb, text) values ('x', 'alter role service_role createrole')`,
    'update punctual.templates set text = text',
    'delete from punctual.templates where false',
    'perform punctual.make_functions(q) from punctual.queues q',
    `perform punctual.drop_functions('jobs')`,
  ])('refuses the service role: %s', async (statement) => {
    await expect(asServiceRole(statement)).rejects.toThrow(
      /permission denied for (table (queues|templates)|function)/,
    );
  });

  it.each(['after_settle', 'before_claim', 'evidence', 'facts'])(
    'accepts only names of functions in %s, from any role',
    async (column) => {
      const set = (name: string) =>
        database.sql(`update punctual.queues set ${column} = $1 where name = 'dm_queue'`, [name]);
      for (const text of [
        'punctual.f($1, $2), pg_catalog.pg_sleep',
        '(select token from punctual.queue_worker_tokens)::text || pg_catalog.concat',
        'punctual.f; drop table punctual.dm_queue --',
        'punctual."f" or "',
        'f',
        '',
      ]) {
        await expect(set(text)).rejects.toThrow('function_name_check');
      }
      for (const name of ['punctual.f', 'app_2."Keep it"', '"My ""schema"""."f"']) await set(name);
    },
  );

  it('stores the name of a function as Postgres quotes it, and calls the function by it', async () => {
    for (const statement of [
      'create table app.trials (id bigint primary key, next_at timestamptz)',
      'create table app.kept (applied jsonb)',
      'grant insert on app.kept to service_role',
      `create function app."Keep it"(p_applied jsonb, p_now timestamptz) returns void language sql as
        'insert into app.kept values (p_applied)'`,
      `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once', p_after_settle => ' "app" . "Keep it"')`,
      `insert into app.trials values (1, '2026-01-01')`,
    ])
      await database.sql(statement);
    await attemptIn(sql.tick({ queue: 'trials' }));
    expect(await database.sql(`select after_settle from punctual.queues where name = 'trials'`)).toEqual([
      { after_settle: 'app."Keep it"' },
    ]);
    expect(await database.sql('select from app.kept')).toHaveLength(1);
  });
});
