import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { accessEnv, EnvError, serverEnv } from '../../lib/services/env.ts';

type Variables = Record<string, string | undefined>;

const supabase = {
  SUPABASE_URL: 'https://project.supabase.co',
  SUPABASE_SERVICE_ROLE_KEY: 'service-role-key',
};
const asSupabase = (serviceRoleKey = 'service-role-key') => ({
  store: { kind: 'supabase', url: 'https://project.supabase.co', serviceRoleKey },
});
const embedded = { store: { kind: 'embedded', directory: '.data/punctual' } };
const upstash = { UPSTASH_REDIS_REST_URL: 'https://eu1.upstash.io', UPSTASH_REDIS_REST_TOKEN: 'redis-token' };
const asUpstash = { upstash: { url: 'https://eu1.upstash.io', token: 'redis-token' } };
const kv = { KV_REST_API_URL: 'https://kv.upstash.io', KV_REST_API_TOKEN: 'kv-token' };
const asKv = { upstash: { url: 'https://kv.upstash.io', token: 'kv-token' } };
const unipile = { UNIPILE_DSN: 'd', UNIPILE_API_KEY: 'k' };
const production = { NODE_ENV: 'production' };
const demo = { PUNCTUAL_DEMO: '1' };
const vercel = { VERCEL: '1' };

/** Empties the variables, as a hosting dashboard keeps those that nobody has filled in. */
const emptied = (variables: Variables): Variables =>
  Object.fromEntries(Object.keys(variables).map((name) => [name, '']));

describe('a process that keeps its connections', () => {
  const direct = (variables: Variables) => serverEnv(variables, { keepsConnections: true }).store;
  const DATABASE_URL = 'postgres://u:p@db.test:5432/postgres';

  it('connects to DATABASE_URL, which the app ignores even if it is another tool’s', () => {
    expect(direct({ DATABASE_URL, ...production })).toEqual({ kind: 'postgres', url: DATABASE_URL });
    expect(direct({ DATABASE_URL, STORE: 'embedded' })).toMatchObject(embedded.store);
    expect(serverEnv({ ...supabase, DATABASE_URL: 'mysql://db.test/x' })).toMatchObject(asSupabase());
  });

  it('refuses a DATABASE_URL that is none of Postgres, without its text', () => {
    const error = new EnvError(
      'DATABASE_URL must have the form postgres://user:password@host:5432/database, with special characters of the password percent-encoded',
      ['DATABASE_URL'],
    );
    expect(() => direct({ DATABASE_URL: 'mysql://u:p@db.test/x' })).toThrow(error);
  });
});

describe('the environment chooses', () => {
  const v2 = { UNIPILE_API_VERSION: 'v2' };
  const whatsapp = { WHATSAPP_ACCESS_TOKEN: 't' };
  const { SUPABASE_URL } = supabase;
  it.each<[label: string, variables: Variables, expected: object]>([
    ['the embedded database if nothing is set', {}, embedded],
    ['the embedded database if all is empty', emptied({ ...supabase, ...upstash, ...kv }), embedded],
    ['its directory', { PUNCTUAL_DATA: '/data/p' }, { store: { kind: 'embedded', directory: '/data/p' } }],
    ['Supabase if both its variables are set', supabase, asSupabase()],
    ['Supabase with a secret key', { SUPABASE_URL, SUPABASE_SECRET_KEY: 'sb_1' }, asSupabase('sb_1')],
    ['a secret key before a legacy one', { ...supabase, SUPABASE_SECRET_KEY: 'sb_1' }, asSupabase('sb_1')],
    ['a legacy key before an empty one', { ...supabase, SUPABASE_SECRET_KEY: ' ' }, asSupabase()],
    ['Supabase on Vercel', { ...supabase, ...vercel }, asSupabase()],
    ['Supabase if STORE names it', { ...supabase, STORE: 'supabase' }, asSupabase()],
    ['the embedded database if STORE names it', { ...supabase, STORE: 'embedded' }, embedded],
    ['that in production too', { ...production, STORE: 'embedded' }, embedded],
    ['the embedded database for the demo', { ...production, ...demo }, embedded],
    [
      'secrets without spaces',
      { ...supabase, SUPABASE_SERVICE_ROLE_KEY: ' service-role-key\n' },
      asSupabase(),
    ],
    ['no lock if nothing is set', {}, { upstash: undefined }],
    ['Upstash', upstash, asUpstash],
    ['Upstash by the names of Vercel’s marketplace', kv, asKv],
    ['Upstash by its own names first', { ...kv, ...upstash }, asUpstash],
    ['no provider if nothing is set', {}, { unipile: undefined, whatsappCloud: undefined }],
    ['no provider by spaces', { UNIPILE_DSN: ' ', UNIPILE_API_KEY: '  ' }, { unipile: undefined }],
    ['Unipile', unipile, { unipile: { version: 'v1', dsn: 'd', apiKey: 'k', maxLateMs: undefined } }],
    [
      'Unipile’s v2 by its key alone',
      { ...v2, UNIPILE_API_KEY: 'k' },
      { unipile: { version: 'v2', dsn: 'api.unipile.com', apiKey: 'k' } },
    ],
    ['no provider by a version alone', v2, { unipile: undefined }],
    [
      'how late Unipile’s messages may appear',
      { ...unipile, UNIPILE_MAX_LATE_SECONDS: ' 90 ' },
      { unipile: { maxLateMs: 90_000 } },
    ],
    [
      'WhatsApp by its token alone',
      whatsapp,
      {
        whatsappCloud: {
          accessToken: 't',
          apiVersion: expect.stringMatching(/^v\d+\.0$/),
          baseUrl: 'https://graph.facebook.com',
          knowsReplies: false,
        },
      },
    ],
    [
      'knowledge of WhatsApp’s replies by its app secret',
      { ...whatsapp, WHATSAPP_APP_SECRET: ' s' },
      { whatsappCloud: { knowsReplies: true } },
    ],
    [
      'another version and URL of WhatsApp',
      { ...whatsapp, WHATSAPP_API_VERSION: 'v99.0', WHATSAPP_BASE_URL: 'http://127.0.0.1:4020' },
      { whatsappCloud: { apiVersion: 'v99.0', baseUrl: 'http://127.0.0.1:4020' } },
    ],
    [
      'no settings of monitors if nothing is set',
      { MONITOR_CANARIES: ' ' },
      { monitorAllowPrivate: [], monitorCanaries: [], monitorDnsServers: [] },
    ],
    [
      'the private addresses that monitors may check',
      { MONITOR_ALLOW_PRIVATE: 'intranet, 127.0.0.1:4010 ,10.1.0.0/16,[::1]:80,fd00::/8,::1,' },
      { monitorAllowPrivate: ['intranet', '127.0.0.1:4010', '10.1.0.0/16', '[::1]:80', 'fd00::/8', '::1'] },
    ],
    [
      'the canaries of a region',
      { MONITOR_CANARIES: 'https://example.com/up?a=1, tcp://1.1.1.1:443,http://[2606:4700::1111]' },
      { monitorCanaries: ['https://example.com/up?a=1', 'tcp://1.1.1.1:443', 'http://[2606:4700::1111]'] },
    ],
    [
      'the DNS servers of monitors',
      { MONITOR_DNS_SERVERS: '1.1.1.1,127.0.0.1:5353,2606:4700::1111,[::1]:5353' },
      { monitorDnsServers: ['1.1.1.1', '127.0.0.1:5353', '2606:4700::1111', '[::1]:5353'] },
    ],
  ])('%s', (_label, variables, expected) => {
    expect(serverEnv(variables)).toMatchObject(expected);
  });
});

describe('the environment is refused', () => {
  const both = ['SUPABASE_URL', 'SUPABASE_SECRET_KEY'];
  /** A value that could be a secret contains “hush”, which no error may contain. */
  const invalid: Record<string, string[]> = {
    SUPABASE_URL: ['hush', 'postgres://u:hush@db/p'],
    STORE: ['hush'],
    API_KEYS: ['hush', 'ops:', ':hush', 'my ops:hush', 'ops:a,hush'],
    DASHBOARD_IDENTITY_HEADER: ['X User', 'X-User:'],
    UNIPILE_API_VERSION: ['v3', '2', 'V2', 'hush'],
    UNIPILE_MAX_LATE_SECONDS: ['0', '86401', '1.5', '-1', '1e3', 'hush', '10m'],
    MONITOR_ALLOW_PRIVATE: [
      'http://hush',
      'hush/8',
      '10.0.0.0/33',
      '10.0.0.0/8/8',
      'fd00::/129',
      'hush:99999',
    ],
    MONITOR_CANARIES: ['hush', 'ftp://hush', 'tcp://hush', 'tcp://hush:0', 'https://a:hush@example.com'],
    MONITOR_DNS_SERVERS: ['hush', '1.1.1.1:0', '1.1.1.1:65536', '[1.1.1.1]:53', 'dns://1.1.1.1', '::hush'],
  };
  /** Of a pair of variables, the one that is set and the one that is missing. */
  const halves = [
    ['SUPABASE_URL', 'SUPABASE_SECRET_KEY'],
    ['SUPABASE_SECRET_KEY', 'SUPABASE_URL'],
    ['SUPABASE_SERVICE_ROLE_KEY', 'SUPABASE_URL'],
    ['UPSTASH_REDIS_REST_URL', 'UPSTASH_REDIS_REST_TOKEN'],
    ['UPSTASH_REDIS_REST_TOKEN', 'UPSTASH_REDIS_REST_URL'],
    ['KV_REST_API_TOKEN', 'KV_REST_API_URL'],
    ['UNIPILE_DSN', 'UNIPILE_API_KEY'],
    ['UNIPILE_API_KEY', 'UNIPILE_DSN'],
    ['WORKER_URL', 'WORKER_SECRET'],
  ] as const;
  it.each<[label: string, variables: Variables, named: string[]]>([
    ['on Vercel without Supabase', vercel, both],
    ['on Vercel without Supabase, whatever STORE says', { ...vercel, STORE: 'embedded' }, both],
    ['on Vercel without Supabase, even as the demo', { ...vercel, ...demo }, both],
    ['in production without Supabase', production, both],
    ['in production with empty variables', { ...production, ...emptied(supabase) }, both],
    ['if STORE names Supabase and its variables are not set', { STORE: 'supabase' }, both],
    ...halves.map(([set, missing]): [string, Variables, string[]] => [
      `with ${set} alone`,
      { [set]: set.endsWith('_URL') ? 'https://hush.example' : 'hush' },
      [missing],
    ]),
    ['with a second half of spaces', { UNIPILE_DSN: 'hush', UNIPILE_API_KEY: '  ' }, ['UNIPILE_API_KEY']],
    ...Object.entries(invalid).flatMap(([name, values]) =>
      values.map((value): [string, Variables, string[]] => [
        `with a ${name} of ${value}`,
        { ...unipile, [name]: value },
        [name],
      ]),
    ),
    ['with two faults', { STORE: 'hush', KV_REST_API_URL: 'hush' }, ['STORE', 'KV_REST_API_URL']],
  ])('%s, and the error names variables and never values', (_label, variables, named) => {
    const error = refusal(variables);
    expect(error.kind).toBe('not_configured');
    expect(error.variables.toSorted()).toEqual(named.toSorted());
    for (const name of named) expect(error.message).toContain(name);
    expect(error.message).not.toContain('hush');
  });

  it('with a hint at STORE=embedded only where it is an option', () => {
    expect(refusal(production).message).toContain('STORE=embedded');
    expect(refusal(vercel).message).not.toContain('STORE=embedded');
  });
});

it('docs/environment.md describes every variable that a user sets', () => {
  const source = readFileSync('lib/services/env.ts', 'utf8');
  const matches = [...source.matchAll(/^ {2}([A-Z_]+): |\bset\('([A-Z_]+)'\)/gm)];
  const names = matches.map(([, one, other]) => `${one ?? other}`);
  expect(names.length).toBeGreaterThan(30);
  const described = readFileSync('docs/environment.md', 'utf8');
  const setByVercel = /^(VERCEL|PORT$)/;
  const missing = names.filter((name) => !setByVercel.test(name) && !described.includes(`\`${name}\``));
  expect(missing).toEqual([]);
});

describe('access', () => {
  const secret = { CRON_SECRET: 'a' };
  const development = { NODE_ENV: 'development' };
  it.each<[label: string, variables: Variables, expected: object]>([
    ['nobody if nothing is set', production, { cronSecrets: [], dashboardOpen: false }],
    ['nobody by an empty secret', { CRON_SECRET: ' ', CRON_SECRET_PREVIOUS: 'b' }, { cronSecrets: [] }],
    ['the scheduler with its secret', secret, { cronSecrets: ['a'] }],
    [
      'the scheduler with either secret',
      { ...secret, CRON_SECRET_PREVIOUS: 'b' },
      { cronSecrets: ['a', 'b'] },
    ],
    ['a secret that was copied with a line break', { CRON_SECRET: 'a\n' }, { cronSecrets: ['a'] }],
    ['callers even if other variables are invalid', { STORE: 'mysql', ...secret }, { cronSecrets: ['a'] }],
    ['nobody by an empty key', { API_KEY: ' ', API_KEYS: ' , ', VIEWER_API_KEY: '' }, { apiKeys: [] }],
    [
      'every key by its name, viewers first',
      { API_KEY: 'a', API_KEYS: 'ops:b, ci.2:c:d,', VIEWER_API_KEY: 'e' },
      {
        apiKeys: [
          { name: 'a viewer of the API', key: 'e', role: 'viewer' },
          { name: 'the API', key: 'a', role: 'operator' },
          { name: 'ops', key: 'b', role: 'operator' },
          { name: 'ci.2', key: 'c:d', role: 'operator' },
        ],
      },
    ],
    ['nobody by an entry that is no name and key', { API_KEYS: 'b,:c,d:,e f:g' }, { apiKeys: [] }],
    [
      'no name by a header that cannot exist',
      { DASHBOARD_IDENTITY_HEADER: 'a b' },
      { identityHeader: undefined },
    ],
    ['the viewer’s password in development', { DASHBOARD_VIEWER_PASSWORD: 'p' }, { dashboardOpen: false }],
    ['anyone at the dashboard in development', development, { dashboardOpen: true }],
    ['anyone at the dashboard of the demo', { ...production, ...demo }, { dashboardOpen: true }],
    ['the password’s owner in development', { DASHBOARD_PASSWORD: 'p' }, { dashboardOpen: false }],
    ['nobody at the dashboard in production', { ...production, STORE: 'embedded' }, { dashboardOpen: false }],
    ['nobody at the dashboard on Vercel', { ...vercel, ...development }, { dashboardOpen: false }],
    ['nobody at the dashboard of a demo on Vercel', { ...vercel, ...demo }, { dashboardOpen: false }],
  ])('is open to %s', (_label, variables, expected) => {
    expect(accessEnv(variables)).toMatchObject(expected);
  });

  it('is open to a provider whose secret is set, and to none whose secret is empty', () => {
    const names = {
      whatsappAppSecret: 'WHATSAPP_APP_SECRET',
      whatsappVerifyToken: 'WHATSAPP_VERIFY_TOKEN',
      unipileWebhookSecret: 'UNIPILE_WEBHOOK_SECRET',
    };
    for (const [key, name] of Object.entries(names)) {
      expect(accessEnv({ [name]: `${name}\n` })).toHaveProperty(key, name);
      expect(accessEnv({ [name]: ' ' })).toHaveProperty(key, undefined);
    }
  });
});

function refusal(variables: Variables): EnvError {
  try {
    serverEnv(variables);
  } catch (error) {
    expect(error).toBeInstanceOf(EnvError);
    return error as EnvError;
  }
  throw new Error('nothing was refused');
}
