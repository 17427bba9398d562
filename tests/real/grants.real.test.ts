import { createClient } from '@supabase/supabase-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { startRestGateway } from '../stack/rest-gateway.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';

interface SqlFunction {
  name: string;
  signature: string;
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

let stack: Stack;
let functions: SqlFunction[];
let tables: string[];

beforeAll(async () => {
  stack = await startStack();
  functions = await stack.sql(`
    select p.proname as name, p.oid::regprocedure::text as signature, p.proconfig as settings,
           p.prorettype = 'trigger'::regtype as "isTrigger",
           coalesce(p.proargnames[1:p.pronargs], '{}') as names,
           array(select format_type(t, null) from unnest(p.proargtypes) with ordinality a (t, n) order by n) as types
      from pg_proc p where p.pronamespace = 'punctual'::regnamespace order by 1`);
  tables = (
    await stack.sql(`select relname from pg_class where relnamespace = 'punctual'::regnamespace
                      and relkind in ('r', 'p', 'v', 'm') order by 1`)
  ).map((row) => row.relname);
});
afterAll(() => stack?.stop());

const otherRoles = () => ({ anon: stack.anonKey, authenticated: stack.authenticatedKey });

/** Returns a value of the type, so that a call gets as far as the rights allow. */
function plausible(type: string): unknown {
  if (type === 'jsonb') return {};
  if (type === 'uuid') return crypto.randomUUID();
  if (type === 'integer' || type === 'bigint') return 1;
  if (type === 'timestamp with time zone') return new Date().toISOString();
  if (type === 'regclass') return 'punctual.queues';
  if (type.endsWith('[]')) return [];
  return type === 'text' ? 'main' : null; // a row of one of our tables
}

async function call(fn: SqlFunction, key: string | null) {
  const args = Object.fromEntries(fn.names.map((name, index) => [name, plausible(fn.types[index] ?? '')]));
  return request('POST', `rpc/${fn.name}`, key, args);
}

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
  return { status: response.status, code: error?.code ?? null, message: error?.message ?? null };
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
    expect.arrayContaining([
      'accounts',
      'dm_queue',
      'pace',
      'partitions',
      'queues',
      'ticks',
      ...ownersTables,
    ]),
  );
});

// Supabase's guide to custom schemas grants usage to all three roles, so functions and tables must be closed themselves and not only
// through the schema.
describe.each([
  ['as the migrations leave it', ''],
  ['opened to all roles', 'grant usage on schema punctual to anon, authenticated'],
])('with the schema %s', (_, grant) => {
  beforeAll(async () => {
    if (!grant) return;
    await stack.sql(grant);
    return () => stack.sql('revoke usage on schema punctual from anon, authenticated');
  });

  it('PostgREST refuses every function to anon, authenticated and callers without a key', async () => {
    for (const fn of functions.filter((one) => !one.isTrigger)) {
      for (const [role, key] of Object.entries({ ...otherRoles(), nobody: null })) {
        expect({ fn: fn.name, role, ...(await call(fn, key)) }).toEqual({ fn: fn.name, role, ...refused });
      }
    }
  });

  it('PostgREST refuses anon and authenticated to read, insert, update or delete in any table', async () => {
    for (const table of tables) {
      const [column] = await stack.sql(
        `select attname as name from pg_attribute where attrelid = to_regclass('punctual.' || $1) and attnum = 1`,
        [table],
      );
      for (const [role, key] of Object.entries(otherRoles())) {
        for (const [method, path, body] of [
          ['GET', `${table}?limit=1`, undefined],
          ['POST', table, { [column.name]: null }],
          ['PATCH', `${table}?${column.name}=is.null`, { [column.name]: null }],
          ['DELETE', `${table}?${column.name}=is.null`, undefined],
        ] as const) {
          expect({ table, role, method, ...(await request(method, path, key, body)) }).toEqual({
            table,
            role,
            method,
            ...refused,
          });
        }
      }
    }
  });

  it('supabase-js refuses them as well', async () => {
    for (const key of Object.values(otherRoles())) {
      const client = createClient(stack.supabaseUrl, key, {
        db: { schema: 'punctual' },
        realtime: { transport: class {} as never },
      });
      const { error } = await client.rpc('read_stats');
      expect(error?.code).toBe('42501');
    }
  });
});

describe('the service role', () => {
  it('may call every function except the owner’s', async () => {
    for (const fn of functions.filter((one) => !one.isTrigger)) {
      const { message } = await call(fn, stack.serviceRoleKey);
      const isRefused = message?.startsWith('permission denied for function') ?? false;
      expect({ fn: fn.name, isRefused }).toEqual({ fn: fn.name, isRefused: ownersOnly.includes(fn.name) });
    }
  });

  it('is the role of a secret key, which is not a JWT', async () => {
    const gateway = await startRestGateway(stack.restUrl, { sb_secret_1: stack.serviceRoleKey });
    try {
      const rpc = supabaseRpc({ url: gateway.url, serviceRoleKey: 'sb_secret_1' });
      expect(await rpc('read_health', {})).toMatchObject({ queues: expect.any(Array) });
    } finally {
      await gateway.stop();
    }
  });

  it('may read every table except the owner’s', async () => {
    for (const table of tables.filter((name) => !ownersTables.includes(name))) {
      expect({ table, ...(await request('GET', `${table}?limit=1`, stack.serviceRoleKey)) }).toEqual({
        table,
        status: 200,
        code: null,
        message: null,
      });
    }
    for (const table of ownersTables) {
      expect(await request('GET', `${table}?limit=1`, stack.serviceRoleKey)).toEqual(refused);
    }
  });
});

describe('the registry', () => {
  const patch = (body: object, key = stack.serviceRoleKey) =>
    request('PATCH', 'queues?name=eq.dm_queue', key, body);

  it('closes a queue’s definition to the service role, because a function named there runs as the owner and could read tokens', async () => {
    await stack.sql(
      `insert into punctual.queue_workers (name, url, schedule) values ('w', 'https://a.test', '* * * * *')`,
    );
    await stack.sql(`insert into punctual.queue_worker_tokens values ('w', 'the-token')`);
    const steal =
      '(select token from punctual.queue_worker_tokens)::integer::text || pg_catalog.jsonb_build_object';
    for (const column of [
      'after_settle',
      'before_claim',
      'evidence',
      'facts',
      'table_name',
      'status_column',
      'status_type',
    ]) {
      expect({ column, ...(await patch({ [column]: steal })) }).toEqual({ column, ...refused });
    }
    expect(
      await request('POST', 'queues', stack.serviceRoleKey, { name: 'mine', after_settle: steal }),
    ).toEqual(refused);
    expect(await request('DELETE', 'queues?name=eq.posts', stack.serviceRoleKey)).toEqual(refused);
    // The owner's own actions run the queue's functions as the owner.
    await stack.sql(
      `with a as (insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'a', 'A') returning id)
       insert into punctual.dm_queue (account_id, channel, chat_id, body) select id, 'linkedin', 'c', 'hello' from a`,
    );
    await stack.sql(
      `select punctual.resolve_row('dm_queue', max(id)::text, 'cancelled') from punctual.dm_queue`,
    );
  });

  it('closes the list of migrations to the service role', async () => {
    const row = { version: '29990101000000', name: 'none', engine: true };
    expect(await request('POST', 'schema_migrations', stack.serviceRoleKey, row)).toEqual(refused);
    expect(await request('DELETE', 'schema_migrations?engine=is.true', stack.serviceRoleKey)).toEqual(
      refused,
    );
  });

  it('lets the service role change a queue’s settings', async () => {
    expect((await patch({ batch_limit: 50, paused_reason: 'holiday' })).status).toBe(204);
    expect(
      await stack.sql(`select batch_limit, paused_reason from punctual.queues where name = 'dm_queue'`),
    ).toEqual([{ batch_limit: 50, paused_reason: 'holiday' }]);
  });
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

  it('gives anon and authenticated no right on any table, sequence or the schema, and the service role none on the owner’s tables', async () => {
    expect(
      await stack.sql(
        `select c.relname, r as role, p as privilege from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) r,
                unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p
          where c.relnamespace = 'punctual'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
            and (r <> 'service_role' or c.relname = any ($1))
            and (has_table_privilege(r, c.oid, p) or (p in ('select', 'insert', 'update', 'references')
                 and has_any_column_privilege(r, c.oid, p)))`,
        [ownersTables],
      ),
    ).toEqual([]);
    expect(
      await stack.sql(
        `select c.relname, r as role from pg_class c, unnest(array['anon', 'authenticated']) r
          where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'S'
            and has_sequence_privilege(r, c.oid, 'usage, select, update')`,
      ),
    ).toEqual([]);
    expect(
      await stack.sql(
        `select r as role, p as privilege from unnest(array['anon', 'authenticated']) r, unnest(array['usage', 'create']) p
          where has_schema_privilege(r, 'punctual', p)`,
      ),
    ).toEqual([]);
  });

  it('pins the search_path of every function, and all but one run as their caller', async () => {
    expect(functions.filter((fn) => !fn.settings?.includes('search_path=""')).map((fn) => fn.name)).toEqual(
      [],
    );
    expect(
      await stack.sql(
        `select proname from pg_proc where pronamespace = 'punctual'::regnamespace and prosecdef`,
      ),
      // It reads spent keys and calls no other code.
    ).toEqual([{ proname: 'refuse_spent_key' }]);
  });

  it('has row-level security on for every table, without any policy', async () => {
    expect(
      await stack.sql(`select relname from pg_class where relnamespace = 'punctual'::regnamespace
                        and relkind in ('r', 'p') and not relrowsecurity`),
    ).toEqual([]);
    expect(await stack.sql(`select policyname from pg_policies where schemaname = 'punctual'`)).toEqual([]);
  });
});
