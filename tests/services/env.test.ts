import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { accessEnv, EnvError, serverEnv } from '../../lib/services/env.ts';

type Variables = Record<string, string | undefined>;

const supabase = {
  SUPABASE_URL: 'https://project.supabase.co',
  SUPABASE_SERVICE_ROLE_KEY: 'service-role-key',
};
const asSupabase = {
  kind: 'supabase',
  url: 'https://project.supabase.co',
  serviceRoleKey: 'service-role-key',
};
const embedded = { kind: 'embedded', directory: '.data/punctual' };
const upstash = { UPSTASH_REDIS_REST_URL: 'https://eu1.upstash.io', UPSTASH_REDIS_REST_TOKEN: 'redis-token' };
const kv = { KV_REST_API_URL: 'https://kv.upstash.io', KV_REST_API_TOKEN: 'kv-token' };

describe('the environment chooses', () => {
  it.each<[label: string, variables: Variables, expected: object]>([
    ['the embedded database if nothing is set', {}, { store: embedded }],
    [
      'the embedded database if every variable is empty',
      emptied({ ...supabase, ...upstash, ...kv }),
      { store: embedded },
    ],
    [
      'the directory of the embedded database',
      { PUNCTUAL_DATA: '/data/p' },
      { store: { kind: 'embedded', directory: '/data/p' } },
    ],
    ['Supabase if both its variables are set', supabase, { store: asSupabase }],
    [
      'Supabase with a secret key in place of the legacy one',
      { SUPABASE_URL: supabase.SUPABASE_URL, SUPABASE_SECRET_KEY: 'sb_secret_1' },
      { store: { ...asSupabase, serviceRoleKey: 'sb_secret_1' } },
    ],
    [
      'the secret key if the legacy one is set too',
      { ...supabase, SUPABASE_SECRET_KEY: 'sb_secret_1' },
      { store: { ...asSupabase, serviceRoleKey: 'sb_secret_1' } },
    ],
    [
      'the legacy key if the secret one is empty',
      { ...supabase, SUPABASE_SECRET_KEY: ' ' },
      { store: asSupabase },
    ],
    ['Supabase on Vercel', { ...supabase, VERCEL: '1' }, { store: asSupabase }],
    ['Supabase in production', { ...supabase, NODE_ENV: 'production' }, { store: asSupabase }],
    ['Supabase if STORE names it', { ...supabase, STORE: 'supabase' }, { store: asSupabase }],
    ['the embedded database if STORE names it', { ...supabase, STORE: 'embedded' }, { store: embedded }],
    [
      'the embedded database in production if STORE names it',
      { NODE_ENV: 'production', STORE: 'embedded' },
      { store: embedded },
    ],
    [
      'the embedded database for the demo',
      { NODE_ENV: 'production', PUNCTUAL_DEMO: '1' },
      { store: embedded },
    ],
    ['no lock if nothing is set', {}, { upstash: undefined }],
    ['Upstash', upstash, { upstash: { url: 'https://eu1.upstash.io', token: 'redis-token' } }],
    [
      'Upstash by the names of Vercel’s marketplace',
      kv,
      { upstash: { url: 'https://kv.upstash.io', token: 'kv-token' } },
    ],
    [
      'Upstash by its own names first',
      { ...kv, ...upstash },
      { upstash: { url: 'https://eu1.upstash.io', token: 'redis-token' } },
    ],
    ['no provider if nothing is set', {}, { unipile: undefined, whatsappCloud: undefined }],
    [
      'Unipile',
      { UNIPILE_DSN: 'api1.unipile.com:13111', UNIPILE_API_KEY: 'unipile-key' },
      { unipile: { version: 'v1', dsn: 'api1.unipile.com:13111', apiKey: 'unipile-key' } },
    ],
    [
      'Unipile’s v2 by its key alone',
      { UNIPILE_API_VERSION: 'v2', UNIPILE_API_KEY: 'unipile-key' },
      { unipile: { version: 'v2', dsn: 'api.unipile.com', apiKey: 'unipile-key' } },
    ],
    ['no provider by a version alone', { UNIPILE_API_VERSION: 'v2' }, { unipile: undefined }],
    [
      'how late Unipile’s messages may appear',
      { UNIPILE_DSN: 'd', UNIPILE_API_KEY: 'k', UNIPILE_MAX_LATE_SECONDS: ' 90 ' },
      { unipile: { dsn: 'd', apiKey: 'k', maxLateMs: 90_000 } },
    ],
    [
      'no limit on late messages of Unipile if it is not set',
      { UNIPILE_DSN: 'd', UNIPILE_API_KEY: 'k', UNIPILE_MAX_LATE_SECONDS: ' ' },
      { unipile: { maxLateMs: undefined } },
    ],
    [
      'WhatsApp by its token alone',
      { WHATSAPP_ACCESS_TOKEN: 'whatsapp-token' },
      {
        whatsappCloud: {
          accessToken: 'whatsapp-token',
          apiVersion: expect.stringMatching(/^v\d+\.0$/),
          baseUrl: 'https://graph.facebook.com',
          knowsReplies: false,
        },
      },
    ],
    [
      'knowledge of WhatsApp’s replies if its app secret is set',
      { WHATSAPP_ACCESS_TOKEN: 't', WHATSAPP_APP_SECRET: ' s' },
      { whatsappCloud: { knowsReplies: true } },
    ],
    [
      'another version and URL of WhatsApp',
      {
        WHATSAPP_ACCESS_TOKEN: 't',
        WHATSAPP_API_VERSION: 'v99.0',
        WHATSAPP_BASE_URL: 'http://127.0.0.1:4020',
      },
      { whatsappCloud: { accessToken: 't', apiVersion: 'v99.0', baseUrl: 'http://127.0.0.1:4020' } },
    ],
    [
      'secrets without surrounding spaces',
      { ...supabase, SUPABASE_SERVICE_ROLE_KEY: ' service-role-key\n' },
      { store: asSupabase },
    ],
    [
      'no provider if its variables hold only spaces',
      { UNIPILE_DSN: ' ', UNIPILE_API_KEY: '  ' },
      { unipile: undefined },
    ],
    [
      'the default directory if PUNCTUAL_DATA holds only spaces',
      { PUNCTUAL_DATA: '  ' },
      { store: embedded },
    ],
    ['the log level', { LOG_LEVEL: 'debug' }, { logLevel: 'debug' }],
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
  it.each<[label: string, variables: Variables, named: string[]]>([
    ['on Vercel without Supabase', { VERCEL: '1' }, both],
    ['on Vercel without Supabase, whatever STORE says', { VERCEL: '1', STORE: 'embedded' }, both],
    ['on Vercel without Supabase, even as the demo', { VERCEL: '1', PUNCTUAL_DEMO: '1' }, both],
    ['in production without Supabase', { NODE_ENV: 'production' }, both],
    ['in production with empty variables', { NODE_ENV: 'production', ...emptied(supabase) }, both],
    ['if STORE names Supabase and its variables are not set', { STORE: 'supabase' }, both],
    ['with half of Supabase', { SUPABASE_URL: supabase.SUPABASE_URL }, ['SUPABASE_SECRET_KEY']],
    ['with the other half of Supabase', { SUPABASE_SECRET_KEY: 'hush' }, ['SUPABASE_URL']],
    ['with the legacy key alone', { SUPABASE_SERVICE_ROLE_KEY: 'hush' }, ['SUPABASE_URL']],
    [
      'with half of Upstash',
      { UPSTASH_REDIS_REST_URL: 'https://eu1.upstash.io' },
      ['UPSTASH_REDIS_REST_TOKEN'],
    ],
    ['with the other half of Upstash', { UPSTASH_REDIS_REST_TOKEN: 'hush' }, ['UPSTASH_REDIS_REST_URL']],
    ['with half of a KV store', { KV_REST_API_TOKEN: 'hush' }, ['KV_REST_API_URL']],
    ['with half of Unipile', { UNIPILE_DSN: 'api1.unipile.com' }, ['UNIPILE_API_KEY']],
    ...['v3', '2', 'V2', 'hush'].map((version): [string, Variables, string[]] => [
      `with version ${version} of Unipile`,
      { UNIPILE_API_VERSION: version, UNIPILE_DSN: 'd', UNIPILE_API_KEY: 'k' },
      ['UNIPILE_API_VERSION'],
    ]),
    ['with the other half of Unipile', { UNIPILE_API_KEY: 'hush' }, ['UNIPILE_DSN']],
    [
      'with a pair whose second variable holds only spaces',
      { UNIPILE_DSN: 'api1.unipile.com', UNIPILE_API_KEY: '  ' },
      ['UNIPILE_API_KEY'],
    ],
    ['with an invalid Supabase URL', { ...supabase, SUPABASE_URL: 'hush' }, ['SUPABASE_URL']],
    ['with the URL of a database', { ...supabase, SUPABASE_URL: 'postgres://u:hush@db/p' }, ['SUPABASE_URL']],
    ...['0', '86401', '1.5', '-1', '1e3', 'hush', '10m'].map((late): [string, Variables, string[]] => [
      `with messages that appear ${late} s late`,
      { UNIPILE_MAX_LATE_SECONDS: late },
      ['UNIPILE_MAX_LATE_SECONDS'],
    ]),
    ...Object.entries({
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
    }).flatMap(([name, values]) =>
      values.map((value): [string, Variables, string[]] => [
        `with a ${name} of ${value}`,
        { [name]: value },
        [name],
      ]),
    ),
    ['with an unknown database', { STORE: 'hush' }, ['STORE']],
    ['with two faults', { STORE: 'hush', KV_REST_API_URL: 'hush' }, ['STORE', 'KV_REST_API_URL']],
  ])('%s, and the error names variables and never values', (_label, variables, named) => {
    const error = refusal(variables);
    expect(error.kind).toBe('not_configured');
    expect(error.variables.toSorted()).toEqual(named.toSorted());
    for (const name of named) expect(error.message).toContain(name);
    expect(error.message).not.toContain('hush');
  });

  it('with a hint at STORE=embedded only where it is an option', () => {
    expect(refusal({ NODE_ENV: 'production' }).message).toContain('STORE=embedded');
    expect(refusal({ VERCEL: '1' }).message).not.toContain('STORE=embedded');
  });
});

it('docs/environment.md describes every variable that a user sets', () => {
  const source = readFileSync('lib/services/env.ts', 'utf8');
  const names = [...source.matchAll(/^ {2}([A-Z_]+): |\bset\('([A-Z_]+)'\)/gm)].map(
    ([, one, other]) => one ?? other,
  );
  const described = readFileSync('docs/environment.md', 'utf8');
  const setByVercel = /^(VERCEL|PORT$)/;
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !setByVercel.test(`${name}`) && !described.includes(`\`${name}\``))).toEqual(
    [],
  );
});

describe('access', () => {
  it('is read even if other variables are invalid', () => {
    expect(accessEnv({ STORE: 'mysql', CRON_SECRET: 'a', API_KEY: 'b' })).toMatchObject({
      cronSecrets: ['a'],
      apiKey: 'b',
    });
  });

  it.each<[label: string, variables: Variables, expected: object]>([
    ['nobody if nothing is set', { NODE_ENV: 'production' }, { cronSecrets: [], dashboardOpen: false }],
    [
      'nobody if every variable is empty',
      { CRON_SECRET: '', CRON_SECRET_PREVIOUS: ' ', API_KEY: '' },
      { cronSecrets: [] },
    ],
    [
      'the scheduler with either secret',
      { CRON_SECRET: 'a', CRON_SECRET_PREVIOUS: 'b' },
      { cronSecrets: ['a', 'b'] },
    ],
    ['the scheduler with its secret alone', { CRON_SECRET: 'a' }, { cronSecrets: ['a'] }],
    [
      'the scheduler with a secret that was copied with a line break',
      { CRON_SECRET: 'a\n' },
      { cronSecrets: ['a'] },
    ],
    ['anyone at the dashboard in development', { NODE_ENV: 'development' }, { dashboardOpen: true }],
    [
      'anyone at the dashboard of the demo',
      { NODE_ENV: 'production', PUNCTUAL_DEMO: '1' },
      { dashboardOpen: true },
    ],
    [
      'anyone with the password in development',
      { DASHBOARD_PASSWORD: 'p' },
      { dashboardOpen: false, dashboardPassword: 'p' },
    ],
    [
      'nobody at the dashboard in production',
      { NODE_ENV: 'production', STORE: 'embedded' },
      { dashboardOpen: false },
    ],
    ['nobody at the dashboard on Vercel', { VERCEL: '1', NODE_ENV: 'development' }, { dashboardOpen: false }],
    [
      'nobody at the dashboard of a demo on Vercel',
      { VERCEL: '1', PUNCTUAL_DEMO: '1' },
      { dashboardOpen: false },
    ],
  ])('is open to %s', (_label, variables, expected) => {
    expect(accessEnv(variables)).toMatchObject(expected);
  });

  it('is open to a provider whose secret is set, and to none whose secret is empty', () => {
    const names = ['WHATSAPP_APP_SECRET', 'WHATSAPP_VERIFY_TOKEN', 'UNIPILE_WEBHOOK_SECRET'];
    expect(accessEnv(Object.fromEntries(names.map((name) => [name, `${name}\n`])))).toMatchObject({
      whatsappAppSecret: 'WHATSAPP_APP_SECRET',
      whatsappVerifyToken: 'WHATSAPP_VERIFY_TOKEN',
      unipileWebhookSecret: 'UNIPILE_WEBHOOK_SECRET',
    });
    expect(accessEnv(Object.fromEntries(names.map((name) => [name, ' '])))).toMatchObject({
      whatsappAppSecret: undefined,
      whatsappVerifyToken: undefined,
      unipileWebhookSecret: undefined,
    });
  });

  it('is not opened by an empty key', () => {
    expect(accessEnv({ API_KEY: ' ', DASHBOARD_PASSWORD: '' })).toMatchObject({
      apiKey: undefined,
      dashboardPassword: undefined,
    });
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

/** Empties the variables, as a hosting dashboard keeps those that nobody has filled in. */
function emptied(variables: Variables): Variables {
  return Object.fromEntries(Object.keys(variables).map((name) => [name, '']));
}
