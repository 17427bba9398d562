import { type DrawnJob, drawJobs } from './draw-jobs.ts';
import { drawPosts } from './draw-posts.ts';
import { type DrawnBatch, type DrawnSequence, drawSequences } from './draw-sequences.ts';
import { type RandomStream, randomStreams } from './random.ts';

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

export type Provider = 'unipile' | 'whatsapp_cloud';

/** Pace settings, named like the columns of punctual.accounts. */
export interface PaceSettings {
  daily_limit: number;
  hourly_limit: number | null;
  gap_seconds: number | null;
  gap_jitter_seconds: number;
  hours: Record<string, string[]> | null;
  ramp_started_on: string | null;
  ramp_days: number;
  ramp_from_percent: number;
}

export interface SimulatedAccount extends PaceSettings {
  id: string;
  provider: Provider;
  provider_account_id: string;
  name: string;
  time_zone: string;
  /** Settings that override the account's own in punctual.pace. */
  override: Partial<PaceSettings>;
}

/** A message to send once, or a post to publish once. */
export interface Intent {
  /** When it is enqueued. */
  arrivesAt: number;
  account: SimulatedAccount;
  chatId: string | null;
  recipient: string | null;
  body: string;
  sendAt: number;
  priority: number;
  expiresAt: number | null;
  /** If set, the insert is repeated, as by a caller whose response was lost. */
  idempotencyKey: string | null;
  /** Only posts have them. */
  mediaUrls?: string[];
}

/** The queues whose rows are recorded. */
export const queueNames = ['dm_queue', 'posts', 'jobs'] as const;
export type QueueName = (typeof queueNames)[number];

/** The first and the last instant at which new rows and faults may come. */
export interface Span {
  startAt: number;
  quietAt: number;
}

/** Everything that is drawn before a run starts. */
export interface World {
  seed: number;
  startAt: number;
  /** From here on there are no faults, new messages or changes by an operator, and the remaining work ends. */
  quietAt: number;
  endAt: number;
  accounts: SimulatedAccount[];
  intents: Intent[];
  posts: Intent[];
  jobs: DrawnJob[];
  sequences: DrawnSequence[];
  batches: DrawnBatch[];
  /** When many messages fall due at once. */
  campaigns: number[];
  maxTicks: number;
  concurrency: number;
  /** Scales how often faults occur: 1 is a bad week, 0 has no faults. */
  weather: number;
  /** Milliseconds between two calls of the cron endpoint if no fault interferes. */
  cronPeriodMs: number;
  checksPeriodMs: number;
  /** The same for the other queues' endpoints. */
  enrolmentsPeriodMs: number;
  postsPeriodMs: number;
  /** Days until retention deletes settled rows; null if neither retention nor the roll-up runs. */
  retentionDays: number | null;
  jobsPeriodMs: number;
  /** The instant that the database is restored to after the run; null if it is not restored. */
  restoresTo: number | null;
}

/** Instants at which a zone's clocks change: at 2 o'clock, at midnight, and by half an hour. */
const changes: [instant: string, zone: string][] = [
  ['2026-03-08T07:00:00Z', 'America/New_York'],
  ['2026-11-01T06:00:00Z', 'America/New_York'],
  ['2026-03-29T01:00:00Z', 'Europe/Berlin'],
  ['2026-10-25T01:00:00Z', 'Europe/Berlin'],
  ['2026-10-03T16:00:00Z', 'Australia/Sydney'],
  ['2026-04-04T15:00:00Z', 'Australia/Lord_Howe'],
  ['2026-10-03T15:30:00Z', 'Australia/Lord_Howe'],
  ['2018-11-04T03:00:00Z', 'America/Sao_Paulo'],
  ['2019-02-17T02:00:00Z', 'America/Sao_Paulo'],
];
export const zones = [
  ...new Set(changes.map(([, zone]) => zone)),
  'UTC',
  'Asia/Kolkata',
  'Pacific/Kiritimati',
];
const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

export function drawWorld(seed: number, days: number): World {
  const stream = randomStreams(seed);
  const setting = stream('world');
  const [change, changingZone] = setting.pick(changes);
  const startAt = Math.round(Date.parse(change) - setting.between(0.1, 0.9) * days * day);
  const quietAt = startAt + days * day;
  const weather = setting.pick([0.3, 1, 1, 2, 4]);
  const campaigns = drawCampaigns(stream('campaigns'), startAt, quietAt);
  const accounts = drawAccounts(stream('accounts'), changingZone, startAt, days);
  return {
    seed,
    startAt,
    quietAt,
    endAt: quietAt + Math.round(setting.between(5, 10) * hour),
    accounts,
    intents: [
      ...drawIntents(stream('intents'), accounts, startAt, quietAt),
      ...campaigns.flatMap((at) => drawCampaign(stream(`campaign ${at}`), accounts, at)),
    ].sort((a, b) => a.arrivesAt - b.arrivesAt),
    posts: drawPosts(stream('posts'), accounts, { startAt, quietAt }),
    jobs: drawJobs(stream('jobs'), { startAt, quietAt }),
    ...drawSequences(stream, accounts, { startAt, quietAt }),
    campaigns,
    maxTicks: setting.pick([1, 1, 1, 2, 3]),
    concurrency: setting.pick([1, 1, 3, 5, 8]),
    weather,
    cronPeriodMs: Math.round(setting.between(5, 10) * minute),
    checksPeriodMs: Math.round(setting.between(10, 20) * minute),
    enrolmentsPeriodMs: Math.round(stream('enrolments period').between(8, 25) * minute),
    retentionDays: stream('retention').chance(0.6) ? 1 : null,
    postsPeriodMs: Math.round(stream('posts period').between(12, 25) * minute),
    jobsPeriodMs: Math.round(stream('jobs period').between(8, 20) * minute),
    restoresTo: drawRestore(stream('restore'), startAt, quietAt),
  };
}

function drawRestore(random: RandomStream, startAt: number, quietAt: number): number | null {
  if (!random.chance(0.3)) return null;
  return Math.round(quietAt - Math.min(0.7 * (quietAt - startAt), random.magnitude(0.2, 20) * hour));
}

function drawAccounts(
  random: RandomStream,
  changingZone: string,
  startAt: number,
  days: number,
): SimulatedAccount[] {
  // Accounts with a loose pace give ticks more work than they can do.
  const strictness = random.pick([0.1, 1, 1]);
  return Array.from({ length: random.pick([8, 12, 25]) }, (_, n) => ({
    id: random.uuid(),
    provider: random.chance(0.6) ? 'unipile' : 'whatsapp_cloud',
    provider_account_id: `account-${n}`,
    name: `Account ${n}`,
    time_zone: random.chance(0.4) ? changingZone : random.pick(zones),
    ...drawPace(random, strictness, startAt, days),
    override: random.chance(0.2)
      ? random.pick([{ daily_limit: random.integer(2, 8) }, { gap_seconds: 600 }, { hourly_limit: 1 }])
      : {},
  }));
}

function drawPace(random: RandomStream, strictness: number, startAt: number, days: number): PaceSettings {
  const rampStart = startAt - random.between(0, days) * day;
  return {
    daily_limit: random.integer(3, 20),
    hourly_limit: random.chance(0.4 * strictness) ? random.integer(1, 6) : null,
    gap_seconds: random.chance(0.5 * strictness) ? Math.round(random.magnitude(20, 3_600)) : null,
    gap_jitter_seconds: random.chance(0.5) ? random.integer(1, 900) : 0,
    hours: random.chance(0.5 * strictness) ? drawHours(random) : null,
    ramp_started_on: random.chance(0.25) ? new Date(rampStart).toISOString().slice(0, 10) : null,
    ramp_days: random.integer(1, 14),
    ramp_from_percent: random.integer(5, 50),
  };
}

/** Draws sending hours: office hours, a lunch break, nights over the hour at which clocks change, and closed days. */
export function drawHours(random: RandomStream): Record<string, string[]> {
  const hours: Record<string, string[]> = {};
  for (const weekday of weekdays) {
    if (random.chance(0.15)) continue;
    hours[weekday] = random.pick([
      ['09:00-18:00'],
      ['08:30-12:00', '13:00-17:30'],
      ['00:00-24:00'],
      ['00:00-02:30', '20:00-24:00'],
      ['02:00-03:00', '07:15-22:45'],
    ]);
  }
  return hours;
}

function drawIntents(
  random: RandomStream,
  accounts: SimulatedAccount[],
  startAt: number,
  quietAt: number,
): Intent[] {
  const count = Math.round(random.between(30, 50) * ((quietAt - startAt) / day));
  const arrivals = Array.from({ length: count }, () => random.between(startAt, quietAt - 2 * hour)).sort(
    (a, b) => a - b,
  );
  const intents: Intent[] = [];
  for (const [n, arrival] of arrivals.entries()) {
    // Three of ten arrive together with the one before.
    const last = intents.at(-1);
    const arrivesAt = Math.round(
      last && random.chance(0.3) ? last.arrivesAt + random.integer(0, 500) : arrival,
    );
    const twin = random.chance(0.1) ? intents.at(-random.integer(1, 10)) : undefined;
    // The same text again, mostly soon after, when one message could be mistaken for the other.
    const sendAt = Math.round(
      twin && random.chance(0.7)
        ? Math.max(arrivesAt, twin.sendAt) + random.magnitude(0.01, 20) * minute
        : arrivesAt +
            random.pick([
              () => 0,
              () => 0,
              () => -random.magnitude(1, 4 * 60) * minute,
              () => random.magnitude(1, 12 * 60) * minute,
              () => random.between(0, 36) * hour,
            ])(),
    );
    const account = twin?.account ?? random.pick(accounts);
    const addressee = twin ?? drawAddressee(random, account, n);
    intents.push({
      arrivesAt,
      account,
      chatId: addressee.chatId,
      recipient: addressee.recipient,
      body: twin?.body ?? `message ${n} of ${account.name}`,
      sendAt,
      priority: random.chance(0.85) ? 1 : random.integer(0, 3),
      expiresAt: random.chance(0.08)
        ? Math.round(Math.max(arrivesAt, sendAt) + random.magnitude(0.1, 24) * hour)
        : null,
      idempotencyKey: random.chance(0.3) ? random.uuid() : null,
    });
  }
  return intents;
}

function drawCampaigns(random: RandomStream, startAt: number, quietAt: number): number[] {
  const count = Math.round(((quietAt - startAt) / day) * random.between(0.7, 2));
  return Array.from({ length: count }, () => Math.round(random.between(startAt + hour, quietAt - 4 * hour)));
}

/** Draws more messages for one instant than a tick can send. */
function drawCampaign(random: RandomStream, accounts: SimulatedAccount[], at: number): Intent[] {
  return Array.from({ length: Math.round(accounts.length * random.between(1, 3.5)) }, (_, n) => {
    const account = random.pick(accounts);
    return {
      arrivesAt: at - Math.round(random.between(1, 60) * minute),
      account,
      ...drawAddressee(random, account, n),
      body: `campaign ${at}, message ${n} of ${account.name}`,
      sendAt: at,
      priority: 1,
      expiresAt: null,
      idempotencyKey: null,
    };
  });
}

function drawAddressee(
  random: RandomStream,
  account: SimulatedAccount,
  n: number,
): Pick<Intent, 'chatId' | 'recipient'> {
  if (account.provider === 'whatsapp_cloud')
    return { chatId: null, recipient: `+49151000${random.integer(1, 8)}` };
  const person = `person-${random.integer(1, 6)}`;
  if (random.chance(0.55)) return { chatId: chatOf(account.provider_account_id, person), recipient: null };
  return { chatId: null, recipient: random.chance(0.5) ? person : `newcomer-${n}` };
}

/** Returns the provider's id of the chat between an account and a person. */
export function chatOf(providerAccountId: string, recipient: string): string {
  return `chat/${providerAccountId}/${recipient}`;
}

/** Returns the id of the account's own feed. */
export function feedOf(providerAccountId: string): string {
  return `feed/${providerAccountId}`;
}

/** Returns the chat that a message to this addressee arrives in. WhatsApp Cloud has no chats, so there it is the number. */
export function chatWith({
  account,
  chatId,
  recipient,
}: Pick<Intent, 'account' | 'chatId' | 'recipient'>): string | null {
  if (account.provider === 'whatsapp_cloud') return recipient;
  return chatId ?? chatOf(account.provider_account_id, recipient ?? '');
}
