import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { grantFindings, grantsSql } from '@/lib/cli/doctor/grants.ts';
import { doctor } from '@/lib/cli/doctor.ts';
import { readPackageMigrations } from '@/lib/cli/project/package-files.ts';
import { registerApp, registeredApp } from '@/lib/queues/registered-app.ts';
import { schemaVersion } from '@/lib/store/migrate/schema-version.ts';
import { openTestDatabase } from '../support/test-database.ts';
import { makeApp, terminalIn } from './cli-bench.ts';

// The doctor loads the app of the folder, and other tests of this process have another.
const app = registeredApp();
afterEach(() => registerApp(app));

const definition = `import { definePunctual, defineQueue, done } from 'punctual';
import { z } from 'zod';

const reminders = defineQueue({
  name: 'reminders',
  row: z.object({ id: z.number() }),
  delivery: 'at-least-once',
  timeoutMs: 10_000,
  perform: async () => done(),
});
export const punctual = definePunctual({ queues: [reminders] });
`;
const daily = '{ "crons": [{ "path": "/api/punctual/cron/process-scheduled", "schedule": "5 6 * * *" }] }';

type Answer = (request: IncomingMessage, url: string) => [status: number, body: unknown];

/** A server on loopback in the place of Supabase, Upstash, Unipile and Meta. */
async function serve(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    const [status, body] = answer(request, request.url ?? '');
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const healthy: Answer = (request, url) => {
  if (request.headers.apikey === 'public') return [401, { code: '42501', message: 'permission denied' }];
  if (url.includes('/rpc/read_health')) {
    return [200, { schema: schemaVersion, queues: [{ name: 'reminders', last_tick_seconds: 30 }] }];
  }
  if (url.endsWith('/pipeline')) return [200, [{ result: 'OK' }]];
  return [200, { result: 'OK', items: [], id: '1' }];
};

/** Runs the doctor in an app whose services are the server. */
async function examine({
  files = {},
  env = {},
  answer = healthy,
  args = [],
}: {
  files?: Record<string, string | null>;
  env?: Record<string, string>;
  answer?: Answer;
  args?: string[];
}): Promise<{ code: number; lines: string }> {
  const url = await serve(answer);
  const migrations = readPackageMigrations().map(({ file, text }) => [`supabase/migrations/${file}`, text]);
  const folder = makeApp({
    'punctual.ts': definition,
    'vercel.json': daily,
    ...Object.fromEntries(migrations),
    ...files,
  });
  const { terminal, printed } = terminalIn(folder, {
    env: {
      CRON_SECRET: 'a secret of some length',
      API_KEY: 'key',
      SUPABASE_URL: url,
      SUPABASE_SECRET_KEY: 'secret',
      NEXT_PUBLIC_SUPABASE_ANON_KEY: 'public',
      UPSTASH_REDIS_REST_URL: url,
      UPSTASH_REDIS_REST_TOKEN: 'token',
      UNIPILE_DSN: url,
      UNIPILE_API_KEY: 'key',
      WHATSAPP_ACCESS_TOKEN: 'token',
      WHATSAPP_BASE_URL: url,
      ...env,
    },
  });
  return { code: await doctor(args, terminal), lines: printed() };
}

describe('npx punctual doctor', () => {
  it('passes an app that is set up, with one warning about the grants and one about Hobby', async () => {
    const { code, lines } = await examine({});
    expect(lines.split('\n').filter((line) => /^(?:warn|fail)/.test(line))).toEqual([
      'warn  schedules: on Hobby, Vercel ticks once a day',
      'warn  grants: not checked',
    ]);
    expect(lines).toMatch(/pass {2}queue reminders: its last tick was 30 s ago/);
    expect(lines).toMatch(/pass {2}Redis: it answers\npass {2}Unipile: .*\npass {2}WhatsApp: /);
    expect(code).toBe(0);
  });

  const only =
    (path: string, status: number, body: unknown): Answer =>
    (request, url) =>
      url.includes(path) && request.headers.apikey !== 'public' ? [status, body] : healthy(request, url);
  const redisRefuses: Answer = (request, url) =>
    url === '/' || url.endsWith('/pipeline') ? [401, { error: 'WRONGPASS' }] : healthy(request, url);
  const cron = (path: string, schedule = '* * * * *') =>
    `{ "crons": [{ "path": "${path}", "schedule": "${schedule}" }] }`;

  it.each<[string, Parameters<typeof examine>[0], RegExp]>([
    ['no CRON_SECRET', { env: { CRON_SECRET: '' } }, /fail {2}CRON_SECRET is not set/],
    [
      'half of a pair',
      { env: { UNIPILE_API_KEY: '' } },
      /fail {2}environment: UNIPILE_DSN is set, but UNIPILE_API_KEY is not/,
    ],
    [
      'a schema that is not exposed',
      { answer: only('/rpc/', 406, { code: 'PGRST106', message: 'The schema must be one of: public' }) },
      /fail {2}database: The schema must.*\n.*Exposed schemas: add punctual/,
    ],
    [
      'no migrations in the database',
      { answer: only('/rpc/', 404, { code: 'PGRST202', message: 'no function' }) },
      /fail {2}database: no function\n.*npx punctual migrate/,
    ],
    [
      'a key of another project',
      { answer: only('/rpc/', 401, { message: 'Invalid API key' }) },
      /fail {2}database: Supabase refused.*\n.*SUPABASE_SECRET_KEY/,
    ],
    [
      'a schema that is behind',
      { answer: only('/rpc/', 200, { schema: '20200101000000', queues: [] }) },
      /fail {2}schema: 20200101000000 is older[\s\S]*fail {2}queue reminders: the database does not know it/,
    ],
    [
      'a public key that reaches Punctual',
      { env: { NEXT_PUBLIC_SUPABASE_ANON_KEY: 'open' } },
      /fail {2}grants: the public key of the project may call Punctual/,
    ],
    ['Redis that refuses', { answer: redisRefuses }, /fail {2}Redis: /],
    [
      'a provider that refuses',
      { answer: only('/api/v1/accounts', 401, { title: 'Missing credentials' }) },
      /fail {2}Unipile: .*\n.*Correct UNIPILE_DSN and UNIPILE_API_KEY/,
    ],
    [
      'a schedule that Hobby refuses',
      { files: { 'vercel.json': cron('/api/punctual/cron/reminders') }, args: ['--plan', 'hobby'] },
      /fail {2}schedules: \/api\/punctual\/cron\/reminders \(\* \* \* \* \*\) runs more than once a day/,
    ],
    [
      'a cron path without a queue',
      { files: { 'vercel.json': cron('/api/punctual/cron/remindres') } },
      /fail {2}schedules: .*remindres names no queue[\s\S]*warn {2}schedules: no entry ticks the queue reminders/,
    ],
    [
      'a vercel.json that is no JSON',
      { files: { 'vercel.json': '{' } },
      /fail {2}schedules: vercel\.json is not valid JSON/,
    ],
    [
      'an invalid schedule',
      { files: { 'vercel.json': cron('/a', 'hourly') } },
      /fail {2}schedules: \/a: "hourly" is not a cron/,
    ],
    [
      'a folder that lacks migrations',
      { files: { [`supabase/migrations/${readPackageMigrations().at(-1)?.file}`]: null } },
      /fail {2}migrations: the folder lacks \d{14}_punctual_.*\n.*npx punctual upgrade/,
    ],
    [
      'a punctual.ts that throws',
      { files: { 'punctual.ts': `throw new Error('oops');` } },
      /fail {2}punctual\.ts cannot be loaded: oops/,
    ],
    [
      'a database that is away',
      { env: { SUPABASE_URL: 'http://127.0.0.1:1' } },
      /fail {2}database: the Data API at 127\.0\.0\.1:1 did not answer/,
    ],
  ])('fails for %s, says what to do, and exits with 1', async (_name, options, expected) => {
    const { code, lines } = await examine(options);
    expect(lines).toMatch(expected);
    expect(code).toBe(1);
  });

  it('warns of a queue that is not ticked any more', async () => {
    const late = { schema: schemaVersion, queues: [{ name: 'reminders', last_tick_seconds: 100_000 }] };
    const { code, lines } = await examine({ answer: only('/rpc/', 200, late) });
    expect(lines).toContain('warn  queue reminders: its last tick was 100,000 s ago');
    expect(code).toBe(0);
  });
});

describe('the check of the grants', () => {
  it('passes as the migrations leave them, and names what was opened or taken away', async () => {
    const database = await openTestDatabase({ own: true });
    onTestFinished(() => database.close());
    const check = async () => grantFindings((await database.sql(grantsSql))[0]?.faults);
    expect(await check()).toEqual([{ state: 'pass', text: expect.any(String) }]);
    await database.sql('create table public.reminders (id bigint primary key, remind_at timestamptz)');
    await database.sql(
      `select punctual.add_queue('reminders', 'public.reminders', 'remind_at', 'at-least-once')`,
    );
    await database.sql('grant select on punctual.queues to anon');
    await database.sql('revoke update on public.reminders from service_role');
    await database.sql('revoke usage on schema punctual from service_role');
    const texts = (await check()).map(({ state, text }) => `${state} ${text}`);
    expect(texts).toEqual([
      'fail grants: anon may read punctual.queues',
      'fail grants: service_role may not call punctual.exchange, so nothing ticks',
      'fail grants: service_role may not read and write public.reminders, so its queue fails',
    ]);
  });
});
