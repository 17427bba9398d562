import { beforeEach, describe, expect, it } from 'vitest';
import { testStack } from './test-stack.ts';

interface SqlFunction {
  name: string;
  settings: string[] | null;
  isTrigger: boolean;
  /** The names of the arguments that a caller passes. */
  names: string[];
  types: string[];
}

/** Functions that only the owner of the database may call. */
const ownersOnly = [
  'add_queue',
  'remove_queue',
  'add_message_queue',
  'close_to_public',
  'create_queue_worker',
  'drop_queue_worker',
  'save_queue_worker',
  'list_queue_workers',
  'call_queue_worker',
  'punctual_install_schedules',
  'punctual_remove_schedules',
  'save_token',
  'read_token',
  'find_token_place',
  'drop_cron_job',
  'prune_worker_runs',
  'after_restore',
  'note_migration',
  'make_functions',
  'drop_functions',
];
/** Tables that hold tokens or the addresses they are sent to. */
const ownersTables = ['queue_workers', 'queue_worker_tokens'];

const stack = testStack();
let functions: SqlFunction[];
let tables: string[];
beforeEach(async () => {
  functions = await stack.sql(`
    select p.proname as name, p.proconfig as settings, p.prorettype = 'trigger'::regtype as "isTrigger",
           coalesce(p.proargnames[1:p.pronargs], '{}') as names,
           array(select format_type(t, null) from unnest(p.proargtypes) with ordinality a (t, n) order by n) as types
      from pg_proc p where p.pronamespace = 'punctual'::regnamespace order by 1`);
  tables = (
    await stack.sql(`select relname from pg_class where relnamespace = 'punctual'::regnamespace
                      and relkind in ('r', 'p', 'v', 'm') order by 1`)
  ).map((row) => row.relname);
});

/** Returns a value of the type, so that a call gets as far as the rights allow. */
function plausible(type = ''): unknown {
  if (type === 'jsonb') return {};
  if (type === 'uuid') return crypto.randomUUID();
  if (type === 'integer' || type === 'bigint') return 1;
  if (type === 'timestamp with time zone') return new Date().toISOString();
  if (type === 'regclass') return 'punctual.queues';
  if (type.endsWith('[]')) return [];
  return type === 'text' ? 'main' : null; // a row of one of our tables
}

/** Calls PostgREST under a key. */
async function request(method: string, path: string, key: string | null, body?: object) {
  const response = await fetch(`${stack.supabaseUrl}/rest/v1/${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(key && { apikey: key, authorization: `Bearer ${key}` }),
    },
    body: body && JSON.stringify(body),
  });
  const error = (await response.json().catch(() => null)) as { code?: string; message?: string } | null;
  return { status: response.status, code: error?.code, message: error?.message };
}

/** Refused because of the caller's role: an error inside the function would have another code. */
const refused = {
  status: expect.toBeOneOf([401, 403]),
  code: '42501',
  message: expect.stringMatching(/^permission denied for (schema|function|table) /),
};

it('the schema has functions and tables to guard, and no two functions share a name, between which PostgREST could not choose', () => {
  const names = functions.map((fn) => fn.name);
  expect(names).toEqual(expect.arrayContaining(['exchange', 'enqueue_dms', 'read_stats', ...ownersOnly]));
  expect(new Set(names).size).toBe(names.length);
  expect(tables).toEqual(
    expect.arrayContaining(['accounts', 'dm_queue', 'pace', 'queues', 'ticks', ...ownersTables]),
  );
});

// Supabase's guide to custom schemas grants usage to all three roles, so functions and tables must be closed themselves and not only
// through the schema.
it('PostgREST refuses every function and table to anon, authenticated and callers without a key, even with the schema opened to them', async () => {
  await stack.sql('grant usage on schema punctual to anon, authenticated');
  try {
    const roles = { anon: stack.anonKey, authenticated: stack.authenticatedKey };
    const expectRefused = async (keys: object, method: string, path: string, body?: object) => {
      for (const [role, key] of Object.entries(keys)) {
        const call = { role, method, path };
        expect({ ...call, ...(await request(method, path, key, body)) }).toEqual({ ...call, ...refused });
      }
    };
    for (const { name, names, types } of functions.filter((one) => !one.isTrigger)) {
      const args = Object.fromEntries(names.map((arg, index) => [arg, plausible(types[index])]));
      await expectRefused({ ...roles, nobody: null }, 'POST', `rpc/${name}`, args);
    }
    for (const table of tables) {
      const [{ column }] = await stack.sql(
        `select attname as column from pg_attribute where attrelid = to_regclass('punctual.' || $1) and attnum = 1`,
        [table],
      );
      const [where, row] = [`${table}?${column}=is.null`, { [column]: null }];
      await expectRefused(roles, 'GET', `${table}?limit=1`);
      await expectRefused(roles, 'POST', table, row);
      await expectRefused(roles, 'PATCH', where, row);
      await expectRefused(roles, 'DELETE', where);
    }
  } finally {
    await stack.sql('revoke usage on schema punctual from anon, authenticated');
  }
});

it('the service role may read every table except the owner’s, and may not change the list of migrations', async () => {
  for (const table of tables) {
    const read = { table, ...(await request('GET', `${table}?limit=1`, stack.serviceRoleKey)) };
    expect(read).toEqual({ table, ...(ownersTables.includes(table) ? refused : { status: 200 }) });
  }
  const row = { version: '29990101000000', name: 'none', engine: true };
  expect(await request('POST', 'schema_migrations', stack.serviceRoleKey, row)).toEqual(refused);
  const all = 'schema_migrations?engine=is.true';
  expect(await request('PATCH', all, stack.serviceRoleKey, { name: 'none' })).toEqual(refused);
  expect(await request('DELETE', all, stack.serviceRoleKey)).toEqual(refused);
});

it('a tick of the service role has the functions of its queue made anew if columns of the table changed', async () => {
  await stack.sql(`create schema if not exists app; grant usage on schema app to service_role;
    create table app.things (id bigint generated always as identity primary key, due timestamptz, body text);
    select punctual.add_queue('things', 'app.things', 'due', 'at-least-once');
    grant all on app.things to service_role;
    insert into app.things (due) values (now() - interval '1 hour');
    alter table app.things add column topic text default 'none';
    alter table app.things drop column body`);
  try {
    const tick = {
      id: crypto.randomUUID(),
      queue: 'things',
      partition: 'main',
      scheduler: 'test',
      limit_seconds: 60,
    };
    const { rows } = (await stack.rpc('exchange', { p_tick: tick, p_seq: 1, p_want: 1 })) as {
      rows: { row: object }[];
    };
    expect(rows[0]?.row).toMatchObject({ id: 1, topic: 'none' });
    expect(rows[0]?.row).not.toHaveProperty('body');
  } finally {
    await stack.sql(`truncate app.things; select punctual.remove_queue('things'); drop table app.things`);
  }
});

describe('the catalogue', () => {
  it('lets only the service role execute functions, except the owner’s', async () => {
    const rows = await stack.sql(
      `select p.proname as name,
              array(select r from unnest(array['anon', 'authenticated', 'service_role']) r
                     where has_function_privilege(r, p.oid, 'execute')) as roles,
              exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) as public
         from pg_proc p where p.pronamespace = 'punctual'::regnamespace order by 1`,
    );
    expect(rows).toEqual(
      functions.map(({ name }) => ({
        name,
        roles: ownersOnly.includes(name) ? [] : ['service_role'],
        public: false,
      })),
    );
  });

  it.each([
    [
      'gives anon and authenticated no right on any table, and the service role none on the owner’s tables',
      `select c.relname, r, p from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) r,
              unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p
        where c.relnamespace = 'punctual'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
          and (r <> 'service_role' or c.relname = any ('{${ownersTables}}'))
          and (has_table_privilege(r, c.oid, p) or (p in ('select', 'insert', 'update', 'references')
               and has_any_column_privilege(r, c.oid, p)))`,
    ],
    [
      'gives anon and authenticated no right on any sequence',
      `select c.relname, r from pg_class c, unnest(array['anon', 'authenticated']) r
        where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'S'
          and has_sequence_privilege(r, c.oid, 'usage, select, update')`,
    ],
    [
      'gives anon and authenticated no right on the schema',
      `select r, p from unnest(array['anon', 'authenticated']) r, unnest(array['usage', 'create']) p
        where has_schema_privilege(r, 'punctual', p)`,
    ],
    [
      // These read spent keys and a setting, or make the functions of a queue by its definition, and call no other code.
      'has every function but three run as its caller',
      `select proname from pg_proc
        where pronamespace = 'punctual'::regnamespace and prosecdef and proname not in ('refuse_spent_key', 'notify_worker', 'refresh_functions')`,
    ],
    [
      'has row-level security on for every table',
      `select relname from pg_class
        where relnamespace = 'punctual'::regnamespace and relkind in ('r', 'p') and not relrowsecurity`,
    ],
    ['has no policy', `select policyname from pg_policies where schemaname = 'punctual'`],
  ])('%s', async (_what, exceptions) => {
    expect(await stack.sql(exceptions)).toEqual([]);
  });

  it('pins the search_path of every function', () => {
    const unpinned = functions.filter((fn) => !fn.settings?.includes('search_path=""'));
    expect(unpinned.map((fn) => fn.name)).toEqual([]);
  });
});
