import { isIP } from 'node:net';
import { z } from 'zod';
import { schedulerName } from './scheduler-name';

/**
 * The only reader of `process.env`. What is set wrongly is said at once, by name and never by value; what is not set keeps the part
 * that needs it closed.
 */
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

/** Unset and empty are the same: hosting dashboards keep empty variables. */
const blankAsUnset = (value: unknown) =>
  typeof value === 'string' && value.trim() === '' ? undefined : value;
const text = z.preprocess(blankAsUnset, z.string().trim().optional());
const url = z.preprocess(blankAsUnset, z.url({ protocol: /^https?$/ }).optional());
const isSet = (value: unknown) => value === '1' || value === 'true';
const seconds = (most: number, least = 1) =>
  z.preprocess(
    blankAsUnset,
    z
      .string()
      .trim()
      .regex(/^\d{1,9}$/, 'is not a whole number of seconds')
      .transform(Number)
      .pipe(z.number().min(least).max(most))
      .optional(),
  );
const flag = z.preprocess(isSet, z.boolean());
/** Separated by commas. */
const list = (isEntry: (entry: string) => boolean, fault: string) =>
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
      .refine((entries) => entries.every(isEntry), fault)
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
  // Less is over before what was under way is written down.
  WORKER_GRACE_SECONDS: seconds(3_600, 8),
  WORKER_NAME: z.preprocess(
    blankAsUnset,
    z
      .string()
      .regex(schedulerName, 'is no name of a clock: lower-case letters, digits and -, 20 at most')
      .optional(),
  ),
  DEV_SCHEDULER: flag,
  STORE: z.preprocess(blankAsUnset, z.enum(['embedded', 'supabase']).optional()),
  PUNCTUAL_DATA: text,
  LOG_LEVEL: text,
  SUPABASE_URL: url,
  SUPABASE_SECRET_KEY: text,
  SUPABASE_SERVICE_ROLE_KEY: text,
  UPSTASH_REDIS_REST_URL: url,
  UPSTASH_REDIS_REST_TOKEN: text,
  KV_REST_API_URL: url,
  KV_REST_API_TOKEN: text,
  UNIPILE_API_VERSION: z.preprocess(
    blankAsUnset,
    z.enum(['v1', 'v2'], 'is neither "v1" nor "v2"').optional(),
  ),
  UNIPILE_DSN: text,
  UNIPILE_API_KEY: text,
  UNIPILE_MAX_LATE_SECONDS: seconds(86_400),
  WHATSAPP_ACCESS_TOKEN: text,
  WHATSAPP_API_VERSION: text,
  WHATSAPP_BASE_URL: url,
  MEDIA_ALLOW_PRIVATE: list(isHost, 'is no list of hosts such as "127.0.0.1:4010, media.internal"'),
  MONITOR_ALLOW_PRIVATE: list(
    (entry) => isHost(entry) || isIP(entry) !== 0 || isNetwork(entry),
    'is no list of hosts and networks such as "intranet:8080, 10.1.0.0/16"',
  ),
  MONITOR_CANARIES: list(
    isCanary,
    'is no list of addresses such as "https://example.com/, tcp://example.org:443", http, https or tcp with its port',
  ),
  MONITOR_DNS_SERVERS: list(isDnsServer, 'is no list of addresses such as "192.0.2.53, 192.0.2.54:5353"'),
});

export interface ServerEnv {
  logLevel: string;
  /** The current secret first; the one before it is accepted while it is being changed. */
  cronSecrets: string[];
  apiKey?: string;
  dashboardPassword?: string;
  /** Development without a password: whoever reaches the server may look. */
  dashboardOpen: boolean;
  /** The platform says where a request came from. */
  onVercel: boolean;
  /** Development, or the demo on loopback: CRON_SECRET opens SQL on the embedded database. */
  sqlOpen: boolean;
  /** What Meta signs its webhooks with. */
  whatsappAppSecret?: string;
  /** What Meta shows when the webhook's address is entered. */
  whatsappVerifyToken?: string;
  /** Opens the worker's ticks, and nothing else. */
  workerSecret?: string;
  /** What Unipile sends along with its webhooks. */
  unipileWebhookSecret?: string;
  store: { kind: 'supabase'; url: string; serviceRoleKey: string } | { kind: 'embedded'; directory: string };
  /** `next dev` fires the schedules of `vercel.json` on a Supabase project too. */
  devScheduler: boolean;
  upstash?: { url: string; token: string };
  /** Where this app is reached: by itself, to go on with a backlog. */
  selfUrl: string;
  /** A worker that work is handed to. */
  worker?: { url: string; secret: string };
  /** What a worker's ticks are called in the ledger. */
  workerName: string;
  /** From SIGTERM until the platform ends the worker by force. */
  workerGraceSeconds: number;
  /** What a worker asks for each minute while it is well. */
  workerHeartbeatUrl?: string;
  /** `maxLateMs`: how late after its call a message can still show up in the chat. */
  unipile?: { version: 'v1' | 'v2'; dsn: string; apiKey: string; maxLateMs?: number };
  /** `knowsReplies`: its webhooks are heard, and tell who has written. */
  whatsappCloud?: { accessToken: string; apiVersion: string; baseUrl: string; knowsReplies: boolean };
  /** Private hosts that a post's media may be fetched from all the same, as `host` or `host:port`. */
  mediaAllowPrivate: string[];
  /** Private places that monitors may check all the same, as `host`, `host:port` or a network (`10.1.0.0/16`). */
  monitorAllowPrivate: string[];
  /** What a region asks before it believes that a site is down, as http, https or tcp addresses. */
  monitorCanaries: string[];
  /** Who is asked for the addresses of sites, as `ip` or `ip:port`; none: the system's own. */
  monitorDnsServers: string[];
}

type AccessSettings = Pick<
  ServerEnv,
  | 'cronSecrets'
  | 'apiKey'
  | 'dashboardPassword'
  | 'dashboardOpen'
  | 'onVercel'
  | 'sqlOpen'
  | 'whatsappAppSecret'
  | 'whatsappVerifyToken'
  | 'workerSecret'
  | 'unipileWebhookSecret'
>;

/** Who may come in: what has to be known before anything else, and is there however wrong the rest is. */
export function accessEnv(source: Record<string, string | undefined> = process.env): AccessSettings {
  const set = (name: string) => source[name]?.trim() || undefined;
  const dashboardPassword = set('DASHBOARD_PASSWORD');
  const cronSecret = set('CRON_SECRET');
  return {
    // The one before opens nothing on its own: what is not configured is closed.
    cronSecrets: cronSecret
      ? [cronSecret, set('CRON_SECRET_PREVIOUS')].filter((secret) => secret !== undefined)
      : [],
    apiKey: set('API_KEY'),
    dashboardPassword,
    dashboardOpen: !isProduction(source) && !dashboardPassword,
    onVercel: isSet(source.VERCEL),
    sqlOpen: !isProduction(source),
    whatsappAppSecret: set('WHATSAPP_APP_SECRET'),
    whatsappVerifyToken: set('WHATSAPP_VERIFY_TOKEN'),
    workerSecret: set('WORKER_SECRET'),
    unipileWebhookSecret: set('UNIPILE_WEBHOOK_SECRET'),
  };
}

/** The demo is a production build on loopback, with nothing in it that is anybody's. */
function isProduction(source: Record<string, string | undefined>): boolean {
  return isSet(source.VERCEL) || (source.NODE_ENV === 'production' && !isSet(source.PUNCTUAL_DEMO));
}

/** Reads and checks the environment. Throws an `EnvError` that names what to set. */
export function serverEnv(source: Record<string, string | undefined> = process.env): ServerEnv {
  const parsed = variables.safeParse(source);
  if (!parsed.success) {
    const wrong = [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))];
    const hints = parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);
    throw new EnvError(`the environment is not as it should be: ${hints.join('; ')}`, wrong);
  }
  const env = parsed.data;
  return {
    ...accessEnv(source),
    logLevel: env.LOG_LEVEL ?? 'info',
    store: chooseStore(env, isProduction(source)),
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
    mediaAllowPrivate: env.MEDIA_ALLOW_PRIVATE ?? [],
    monitorAllowPrivate: env.MONITOR_ALLOW_PRIVATE ?? [],
    monitorCanaries: env.MONITOR_CANARIES ?? [],
    monitorDnsServers: env.MONITOR_DNS_SERVERS ?? [],
  };
}

type Variables = z.infer<typeof variables>;

function selfUrlOf(env: Variables): string {
  if (env.PUNCTUAL_URL) return env.PUNCTUAL_URL;
  // A deployment's own address asks for a login; the production one does not.
  const onVercel =
    env.VERCEL_ENV === 'production' ? (env.VERCEL_PROJECT_PRODUCTION_URL ?? env.VERCEL_URL) : env.VERCEL_URL;
  return env.VERCEL && onVercel ? `https://${onVercel}` : `http://127.0.0.1:${env.PORT ?? 3_000}`;
}

/** v2 has one address for everybody. */
function unipileOf(env: Variables): ServerEnv['unipile'] {
  const version = env.UNIPILE_API_VERSION ?? 'v1';
  const isV2 = version === 'v2' && env.UNIPILE_API_KEY !== undefined;
  const addressed = { ...env, UNIPILE_DSN: env.UNIPILE_DSN ?? (isV2 ? 'api.unipile.com' : undefined) };
  const late = env.UNIPILE_MAX_LATE_SECONDS;
  return pair(addressed, 'UNIPILE_DSN', 'UNIPILE_API_KEY', (dsn, apiKey) => ({
    version,
    dsn,
    apiKey,
    maxLateMs: late === undefined ? undefined : late * 1_000,
  }));
}

/** The secret alone is what the worker itself has. */
function workerOf(url: string | undefined, secret: string | undefined): ServerEnv['worker'] {
  if (url === undefined) return undefined;
  if (secret !== undefined) return { url, secret };
  throw new EnvError('WORKER_URL is set, and WORKER_SECRET is not: set both or neither', ['WORKER_SECRET']);
}

function chooseStore(env: Variables, production: boolean): ServerEnv['store'] {
  // Both are set while a project moves to secret keys. Supabase disables the legacy one in the end.
  const legacy = env.SUPABASE_SERVICE_ROLE_KEY !== undefined && env.SUPABASE_SECRET_KEY === undefined;
  const keyName = legacy ? 'SUPABASE_SERVICE_ROLE_KEY' : 'SUPABASE_SECRET_KEY';
  const supabase = pair(env, 'SUPABASE_URL', keyName, (url, serviceRoleKey) => ({ url, serviceRoleKey }));
  if (supabase && env.STORE !== 'embedded') return { kind: 'supabase', ...supabase };
  if (env.STORE === 'supabase' || env.VERCEL || (production && env.STORE !== 'embedded')) {
    throw new EnvError(
      `no database: set SUPABASE_URL and SUPABASE_SECRET_KEY${
        env.VERCEL
          ? ', and leave STORE unset: an embedded database does not outlive a function on Vercel'
          : ', or STORE=embedded if that is what you mean'
      }`,
      ['SUPABASE_URL', 'SUPABASE_SECRET_KEY'],
    );
  }
  return { kind: 'embedded', directory: env.PUNCTUAL_DATA ?? '.data/punctual' };
}

/** Two variables that are of use only together. */
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
    `${a === undefined ? second : first} is set, and ${missing} is not: set both or neither`,
    [missing],
  );
}

/** The names of the providers that this server can send by. */
export function configuredProviders(env: Pick<ServerEnv, 'unipile' | 'whatsappCloud'>): string[] {
  return [...(env.unipile ? ['unipile'] : []), ...(env.whatsappCloud ? ['whatsapp_cloud'] : [])];
}
