import { isIP } from 'node:net';
import { z } from 'zod';
import { schedulerName } from './scheduler-name.ts';

/** A setting is invalid or missing. The message names the variables, but never a value. */
export class EnvError extends Error {
  override readonly name = 'EnvError';
  readonly kind = 'not_configured';
  constructor(
    message: string,
    readonly variables: string[],
  ) {
    super(message);
  }
}

/** Hosting dashboards keep empty variables, so an empty one counts as unset. */
const blankAsUnset = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;
const text = z.preprocess(blankAsUnset, z.string().trim().optional());
const url = z.preprocess(blankAsUnset, z.url({ protocol: /^https?$/ }).optional());
const isSet = (value: unknown) => value === '1' || value === 'true';
const seconds = (max: number, min = 1) =>
  z.preprocess(
    blankAsUnset,
    z
      .string()
      .trim()
      .regex(/^\d{1,9}$/, 'is not a whole number of seconds')
      .transform(Number)
      .pipe(z.number().min(min).max(max))
      .optional(),
  );
const flag = z.preprocess(isSet, z.boolean());
/** Entries separated by commas. */
const list = (isEntry: (entry: string) => boolean, message: string) =>
  z.preprocess(
    blankAsUnset,
    z
      .string()
      .transform((value) =>
        value
          .split(',')
          .map((entry) => entry.trim())
          .filter(Boolean),
      )
      .refine((entries) => entries.every(isEntry), message)
      .optional(),
  );
/** `host` or `host:port`. */
const isHost = (entry: string) => URL.canParse(`http://${entry}`) && !/[/@?#]/.test(entry);
/** `10.0.0.0/8`, `fd00::/8`. */
function isNetwork(entry: string): boolean {
  const [address = '', prefix = '', ...more] = entry.split('/');
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return more.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits;
}
/** `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:5353`. */
function isDnsServer(entry: string): boolean {
  if (isIP(entry) !== 0) return true;
  const [, v6, v4 = '', port] = /^(?:\[(.+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(entry) ?? [];
  return isIP(v6 ?? v4) === (v6 === undefined ? 4 : 6) && (port === undefined || isPort(port));
}
/** `ops:key`. A name has up to 60 letters, digits, `-`, `_` and `.`. */
const namedKey = /^([\w.-]{1,60}):(\S+)$/;
/** The name of an HTTP header. */
const headerName = /^[\w!#$%&'*+.^`|~-]{1,100}$/;
const isPort = (port: string) => Number(port) >= 1 && Number(port) <= 65_535;
function isCanary(entry: string): boolean {
  if (!URL.canParse(entry)) return false;
  const { protocol, hostname, port, username, password } = new URL(entry);
  if (hostname === '' || username !== '' || password !== '') return false;
  return protocol === 'http:' || protocol === 'https:' || (protocol === 'tcp:' && isPort(port));
}

const variables = z.object({
  VERCEL: flag,
  VERCEL_ENV: text,
  VERCEL_URL: text,
  VERCEL_PROJECT_PRODUCTION_URL: text,
  PUNCTUAL_URL: url,
  PORT: text,
  WORKER_URL: url,
  WORKER_HEARTBEAT_URL: url,
  // In less time the outcomes of running attempts could not be written.
  WORKER_GRACE_SECONDS: seconds(3_600, 8),
  WORKER_NAME: z.preprocess(
    blankAsUnset,
    z
      .string()
      .regex(
        schedulerName,
        'must be a scheduler name: up to 20 lower-case letters, digits and -, beginning with a letter',
      )
      .optional(),
  ),
  DEV_SCHEDULER: flag,
  STORE: z.preprocess(blankAsUnset, z.enum(['embedded', 'supabase']).optional()),
  PUNCTUAL_DATA: text,
  LOG_LEVEL: text,
  DATABASE_URL: text,
  SUPABASE_URL: url,
  SUPABASE_SECRET_KEY: text,
  SUPABASE_SERVICE_ROLE_KEY: text,
  API_KEYS: list(
    (entry) => namedKey.test(entry),
    'must be a list of names and keys, for example "ops:key1, ci:key2"; a name has letters, digits, "-", "_" and "."',
  ),
  DASHBOARD_IDENTITY_HEADER: z.preprocess(
    blankAsUnset,
    z
      .string()
      .trim()
      .regex(headerName, 'must be the name of a header, for example X-Forwarded-User')
      .optional(),
  ),
  UPSTASH_REDIS_REST_URL: url,
  UPSTASH_REDIS_REST_TOKEN: text,
  KV_REST_API_URL: url,
  KV_REST_API_TOKEN: text,
  UNIPILE_API_VERSION: z.preprocess(blankAsUnset, z.enum(['v1', 'v2'], 'must be "v1" or "v2"').optional()),
  UNIPILE_DSN: text,
  UNIPILE_API_KEY: text,
  UNIPILE_MAX_LATE_SECONDS: seconds(86_400),
  WHATSAPP_ACCESS_TOKEN: text,
  WHATSAPP_API_VERSION: text,
  WHATSAPP_BASE_URL: url,
  MEDIA_ALLOW_PRIVATE: list(isHost, 'must be a list of hosts, for example "127.0.0.1:4010, media.internal"'),
  MONITOR_ALLOW_PRIVATE: list(
    (entry) => isHost(entry) || isIP(entry) !== 0 || isNetwork(entry),
    'must be a list of hosts and networks, for example "intranet:8080, 10.1.0.0/16"',
  ),
  MONITOR_CANARIES: list(
    isCanary,
    'must be a list of http, https or tcp addresses, tcp with its port, for example "https://example.com/, tcp://example.org:443"',
  ),
  JOB_SIGNING_SECRET: text,
  JOB_SIGNING_SECRET_PREVIOUS: text,
  MONITOR_DNS_SERVERS: list(
    isDnsServer,
    'must be a list of IP addresses, for example "192.0.2.53, 192.0.2.54:5353"',
  ),
});

export interface ServerEnv {
  logLevel: string;
  /** The current secret, and then the previous one, which is accepted while the secret is changed. */
  cronSecrets: string[];
  /** Viewers' keys first: a secret that is set for both roles may only read. */
  apiKeys: { name: string; key: string; role: 'operator' | 'viewer' }[];
  /** The dashboard's passwords, by the role that they give. */
  passwords: { operator?: string; viewer?: string };
  /** The header in which a proxy names the dashboard's visitor. */
  identityHeader?: string;
  /** In development without a password, everyone who reaches the server may read the dashboard. */
  dashboardOpen: boolean;
  /** In the demo, visitors of the open dashboard may also act. */
  isDemo: boolean;
  /** The platform adds the caller's address to a request. */
  onVercel: boolean;
  /** In development and in the demo on loopback, CRON_SECRET authorizes SQL on the embedded database. */
  sqlOpen: boolean;
  /** Meta signs its webhooks with it. */
  whatsappAppSecret?: string;
  /** Meta sends it to verify the webhook's address when that is entered. */
  whatsappVerifyToken?: string;
  /** Authorizes calls of the worker's ticks, and nothing else. */
  workerSecret?: string;
  /** The secret of Unipile's webhooks: a header in v1, the key of a signature in v2. */
  unipileWebhookSecret?: string;
  store:
    | { kind: 'supabase'; url: string; serviceRoleKey: string }
    | { kind: 'postgres'; url: string }
    | { kind: 'embedded'; directory: string };
  /** `next dev` also runs the schedules of `vercel.json` on a Supabase project. */
  devScheduler: boolean;
  upstash?: { url: string; token: string };
  /** The app's own URL, for its continuations. */
  selfUrl: string;
  /** The worker that `/api/trigger/:queue` wakes. */
  worker?: { url: string; secret: string };
  /** The name of a worker as the scheduler of its ticks. */
  workerName: string;
  /** From SIGTERM until the platform kills the worker. */
  workerGraceSeconds: number;
  /** A URL that a worker requests each minute while it is healthy. */
  workerHeartbeatUrl?: string;
  /** `maxLateMs`: how long after its call a message may still appear in its chat. */
  unipile?: { version: 'v1' | 'v2'; dsn: string; apiKey: string; maxLateMs?: number };
  /** `knowsReplies`: its webhooks are received, so it is known who has written. */
  whatsappCloud?: { accessToken: string; apiVersion: string; baseUrl: string; knowsReplies: boolean };
  /** Private hosts from which a post's media may be fetched, as `host` or `host:port`. */
  mediaAllowPrivate: string[];
  /** The current secret that signs the calls of jobs, and then the previous one, which also signs them while the secret is changed. */
  jobSigningSecrets: string[];
  /** Private hosts and networks that monitors may check and jobs may call, as `host`, `host:port` or `10.1.0.0/16`. */
  monitorAllowPrivate: string[];
  /** Addresses that a region probes before it counts a site as down: http, https or tcp. */
  monitorCanaries: string[];
  /** DNS servers for monitors and for the URLs of jobs, as `ip` or `ip:port`; the system's if empty. */
  monitorDnsServers: string[];
}

type AccessSettings = Pick<
  ServerEnv,
  | 'cronSecrets'
  | 'apiKeys'
  | 'passwords'
  | 'identityHeader'
  | 'dashboardOpen'
  | 'isDemo'
  | 'onVercel'
  | 'sqlOpen'
  | 'whatsappAppSecret'
  | 'whatsappVerifyToken'
  | 'workerSecret'
  | 'unipileWebhookSecret'
>;

/**
 * Reads the settings of access. Every request needs them first, so they do not depend on the validity of the others. An invalid entry of API_KEYS
 * gives nobody access; `serverEnv` names it.
 */
export function accessEnv(source: Record<string, string | undefined> = process.env): AccessSettings {
  const set = (name: string) => source[name]?.trim() || undefined;
  const passwords = { operator: set('DASHBOARD_PASSWORD'), viewer: set('DASHBOARD_VIEWER_PASSWORD') };
  const identityHeader = set('DASHBOARD_IDENTITY_HEADER');
  const cronSecret = set('CRON_SECRET');
  return {
    // The previous secret is not accepted alone: without CRON_SECRET the endpoints stay closed.
    cronSecrets: cronSecret
      ? [cronSecret, set('CRON_SECRET_PREVIOUS')].filter((secret) => secret !== undefined)
      : [],
    apiKeys: apiKeysOf(set('VIEWER_API_KEY'), set('API_KEY'), set('API_KEYS')),
    passwords,
    identityHeader: identityHeader && headerName.test(identityHeader) ? identityHeader : undefined,
    dashboardOpen: !isProduction(source) && !passwords.operator && !passwords.viewer,
    isDemo: isSet(source.PUNCTUAL_DEMO) && !isSet(source.VERCEL),
    onVercel: isSet(source.VERCEL),
    sqlOpen: !isProduction(source),
    whatsappAppSecret: set('WHATSAPP_APP_SECRET'),
    whatsappVerifyToken: set('WHATSAPP_VERIFY_TOKEN'),
    workerSecret: set('WORKER_SECRET'),
    unipileWebhookSecret: set('UNIPILE_WEBHOOK_SECRET'),
  };
}

function apiKeysOf(
  viewer: string | undefined,
  operator: string | undefined,
  named = '',
): ServerEnv['apiKeys'] {
  const keys: ServerEnv['apiKeys'] = [];
  if (viewer) keys.push({ name: 'a viewer of the API', key: viewer, role: 'viewer' });
  if (operator) keys.push({ name: 'the API', key: operator, role: 'operator' });
  for (const entry of named.split(',')) {
    const [, name, key] = namedKey.exec(entry.trim()) ?? [];
    if (name && key) keys.push({ name, key, role: 'operator' });
  }
  return keys;
}

/** The demo is a production build on loopback without anyone's data, so it does not count. */
function isProduction(source: Record<string, string | undefined>): boolean {
  return isSet(source.VERCEL) || (source.NODE_ENV === 'production' && !isSet(source.PUNCTUAL_DEMO));
}

/**
 * Reads and checks the environment. A process that keeps its connections, such as the worker, prefers `DATABASE_URL`; the app never reads it, because
 * each of its functions would open connections of its own. Throws an `EnvError` that names the variables to set.
 */
export function serverEnv(
  source: Record<string, string | undefined> = process.env,
  { keepsConnections = false } = {},
): ServerEnv {
  const parsed = variables.safeParse(source);
  if (!parsed.success) {
    const invalid = [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))];
    const hints = parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);
    throw new EnvError(`the environment is invalid: ${hints.join('; ')}`, invalid);
  }
  const env = parsed.data;
  return {
    ...accessEnv(source),
    logLevel: env.LOG_LEVEL ?? 'info',
    store: (keepsConnections && directStore(env)) || chooseStore(env, isProduction(source)),
    devScheduler: env.DEV_SCHEDULER,
    selfUrl: selfUrlOf(env),
    worker: workerOf(env.WORKER_URL, accessEnv(source).workerSecret),
    workerName: env.WORKER_NAME ?? 'worker',
    workerGraceSeconds: env.WORKER_GRACE_SECONDS ?? 25,
    workerHeartbeatUrl: env.WORKER_HEARTBEAT_URL,
    upstash:
      pair(env, 'UPSTASH_REDIS_REST_URL', 'UPSTASH_REDIS_REST_TOKEN', (url, token) => ({ url, token })) ??
      pair(env, 'KV_REST_API_URL', 'KV_REST_API_TOKEN', (url, token) => ({ url, token })),
    unipile: unipileOf(env),
    whatsappCloud: env.WHATSAPP_ACCESS_TOKEN
      ? {
          accessToken: env.WHATSAPP_ACCESS_TOKEN,
          apiVersion: env.WHATSAPP_API_VERSION ?? 'v23.0',
          baseUrl: env.WHATSAPP_BASE_URL ?? 'https://graph.facebook.com',
          knowsReplies: accessEnv(source).whatsappAppSecret !== undefined,
        }
      : undefined,
    // The previous secret does not sign alone: without JOB_SIGNING_SECRET no URL is called.
    jobSigningSecrets: env.JOB_SIGNING_SECRET
      ? [env.JOB_SIGNING_SECRET, env.JOB_SIGNING_SECRET_PREVIOUS].filter((secret) => secret !== undefined)
      : [],
    mediaAllowPrivate: env.MEDIA_ALLOW_PRIVATE ?? [],
    monitorAllowPrivate: env.MONITOR_ALLOW_PRIVATE ?? [],
    monitorCanaries: env.MONITOR_CANARIES ?? [],
    monitorDnsServers: env.MONITOR_DNS_SERVERS ?? [],
  };
}

type Variables = z.infer<typeof variables>;

function selfUrlOf(env: Variables): string {
  if (env.PUNCTUAL_URL) return env.PUNCTUAL_URL;
  // A deployment's own URL requires a login; the production URL does not.
  const onVercel =
    env.VERCEL_ENV === 'production' ? (env.VERCEL_PROJECT_PRODUCTION_URL ?? env.VERCEL_URL) : env.VERCEL_URL;
  return env.VERCEL && onVercel ? `https://${onVercel}` : `http://127.0.0.1:${env.PORT ?? 3_000}`;
}

/** v2 has the same DSN for every customer. */
function unipileOf(env: Variables): ServerEnv['unipile'] {
  const version = env.UNIPILE_API_VERSION ?? 'v1';
  const isV2 = version === 'v2' && env.UNIPILE_API_KEY !== undefined;
  const withDsn = { ...env, UNIPILE_DSN: env.UNIPILE_DSN ?? (isV2 ? 'api.unipile.com' : undefined) };
  const maxLateSeconds = env.UNIPILE_MAX_LATE_SECONDS;
  return pair(withDsn, 'UNIPILE_DSN', 'UNIPILE_API_KEY', (dsn, apiKey) => ({
    version,
    dsn,
    apiKey,
    maxLateMs: maxLateSeconds === undefined ? undefined : maxLateSeconds * 1_000,
  }));
}

/** The worker itself has the secret without the URL. */
function workerOf(url: string | undefined, secret: string | undefined): ServerEnv['worker'] {
  if (url === undefined) return undefined;
  if (secret !== undefined) return { url, secret };
  throw new EnvError('WORKER_URL is set, but WORKER_SECRET is not: set both or neither', ['WORKER_SECRET']);
}

function chooseStore(env: Variables, production: boolean): ServerEnv['store'] {
  // Both are set while a project moves to secret keys. In the end Supabase disables the legacy key.
  const legacy = env.SUPABASE_SERVICE_ROLE_KEY !== undefined && env.SUPABASE_SECRET_KEY === undefined;
  const keyName = legacy ? 'SUPABASE_SERVICE_ROLE_KEY' : 'SUPABASE_SECRET_KEY';
  const supabase = pair(env, 'SUPABASE_URL', keyName, (url, serviceRoleKey) => ({ url, serviceRoleKey }));
  if (supabase && env.STORE !== 'embedded') return { kind: 'supabase', ...supabase };
  if (env.STORE === 'supabase' || env.VERCEL || (production && env.STORE !== 'embedded')) {
    throw new EnvError(
      `no database is configured: set SUPABASE_URL and SUPABASE_SECRET_KEY${
        env.VERCEL
          ? ' and leave STORE unset: an embedded database does not outlive a function on Vercel'
          : ', or set STORE=embedded to use an embedded database'
      }`,
      ['SUPABASE_URL', 'SUPABASE_SECRET_KEY'],
    );
  }
  return { kind: 'embedded', directory: env.PUNCTUAL_DATA ?? '.data/punctual' };
}

/** The database at `DATABASE_URL`, if that is set. Only a process that uses it checks it: the app may have one of another tool. */
function directStore({ DATABASE_URL: url, STORE }: Variables): ServerEnv['store'] | null {
  if (url === undefined || STORE === 'embedded') return null;
  if (!URL.canParse(url) || !/^postgres(ql)?:/.test(url)) {
    throw new EnvError(
      'DATABASE_URL must have the form postgres://user:password@host:5432/database, with special characters of the password percent-encoded',
      ['DATABASE_URL'],
    );
  }
  return { kind: 'postgres', url };
}

/** Reads two variables that are useful only together. Throws an `EnvError` if only one is set. */
function pair<T>(
  env: Variables,
  first: keyof Variables,
  second: keyof Variables,
  make: (a: string, b: string) => T,
): T | undefined {
  const [a, b] = [env[first] as string | undefined, env[second] as string | undefined];
  if (a !== undefined && b !== undefined) return make(a, b);
  if (a === undefined && b === undefined) return undefined;
  const missing = a === undefined ? first : second;
  throw new EnvError(
    `${a === undefined ? second : first} is set, but ${missing} is not: set both or neither`,
    [missing],
  );
}

/** Returns the names of the providers that this server can send with. */
export function configuredProviders(env: Pick<ServerEnv, 'unipile' | 'whatsappCloud'>): string[] {
  return [...(env.unipile ? ['unipile'] : []), ...(env.whatsappCloud ? ['whatsapp_cloud'] : [])];
}
