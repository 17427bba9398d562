import { z } from 'zod';
import { hasMore } from '../../lib/cron/continuation.ts';
import { done } from '../../lib/engine/outcome.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import type { Queue } from '../../lib/engine/queue.ts';
import { tick } from '../../lib/engine/tick.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { RandomStream } from '../../tests/simulation/random.ts';

/** Rows that fall due, and what they meet. */
export interface Load {
  delivery: 'at-most-once' | 'at-least-once';
  /** Rows that are due at the start. */
  backlog: number;
  /** Rows that fall due evenly. */
  perHour: number;
  /** The load ends after this, or when all of its rows are done. */
  hours: number;
  /** A row takes from the first to the second of these, in milliseconds, evenly distributed. */
  rowMs: [number, number];
  /** One call to the database, in milliseconds. */
  callMs: number;
  /** The scheduler's interval, and the execution limit of a function, in seconds. */
  everySeconds: number;
  limitSeconds: number;
  /** Under at-most-once, the accounts that the rows are spread over, and the limits of each; null is none. */
  accounts: number;
  dailyLimit: number | null;
  gapSeconds: number;
  /** The most rows that the provider accepts in a minute; it answers 429 to others. Null is no limit. */
  perMinute: number | null;
}

/** 50 due messages of an account each, which take 2.5 s, and a slot every five minutes. */
export const defaultLoad: Load = {
  delivery: 'at-most-once',
  backlog: 50,
  perHour: 0,
  hours: 1,
  rowMs: [2_500, 2_500],
  callMs: 10,
  everySeconds: 300,
  limitSeconds: 60,
  accounts: 50,
  dailyLimit: null,
  gapSeconds: 0,
  perMinute: null,
};

export interface Setting {
  batchLimit: number;
  concurrency: number;
}

export interface LoadResult {
  /** How long each tick that claimed rows worked, in milliseconds, up to the end of the backlog. */
  drainMs: number[];
  /** From the start until the backlog was done; null if it was not within the hours. */
  drainedAfterMs: number | null;
  done: number;
  /** 19 of 20 rows started within so many milliseconds of their due time; null if none started. */
  lateMs: number | null;
  /** Ticks that ended because no time was left, with due rows. */
  outOfTime: number;
  /** Attempts that the provider refused because of its limit. */
  throttled: number;
  /** Calls to the database, and the time that functions ran, in milliseconds. */
  calls: number;
  functionMs: number;
}

/** A database with our schema and no rows, for one load at a time. */
export interface LoadDatabase {
  rpc: Rpc;
  sql(text: string, params?: unknown[]): Promise<unknown>;
}

const startsAt = Date.parse('2026-03-02T12:00:00Z');

/** Runs a load through the engine and its SQL under a virtual clock. */
export async function runLoad(database: LoadDatabase, load: Load, setting: Setting): Promise<LoadResult> {
  await prepare(database, load, setting);
  const clock = new VirtualClock(startsAt);
  const result: LoadResult = {
    drainMs: [],
    drainedAfterMs: load.backlog === 0 ? 0 : null,
    done: 0,
    lateMs: null,
    outOfTime: 0,
    throttled: 0,
    calls: 0,
    functionMs: 0,
  };
  const late: number[] = [];
  // So that a load runs the same each time.
  const random = new RandomStream('whatif');
  const ports = {
    store: queueStore(async (fn, args) => {
      result.calls++;
      const reply = await clock.busy(database.rpc(fn, args));
      if (load.callMs > 0) await pass(load.callMs);
      return reply;
    }, clock.date),
    clock,
    log: silentLog,
    random: random.next,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
  const pass = (ms: number) => new Promise<void>((resolve) => void clock.timer(ms, resolve));
  const admits = perMinute(load.perMinute);
  const queue: Queue<Record<string, unknown>, null, unknown> = {
    name: queueOf(load),
    delivery: load.delivery,
    row: z.record(z.string(), z.unknown()),
    timeoutMs: timeoutMsOf(load),
    connect: () => null,
    providers: () => ['unipile'],
    async perform(row) {
      late.push(clock.now() - Date.parse(String(row.send_at ?? row.due)));
      await pass(random.between(...load.rowMs));
      if (!admits(clock.now())) {
        result.throttled++;
        throw Object.assign(new Error('too many requests'), { kind: 'rate_limited' });
      }
      result.done++;
      return done();
    },
  };

  const endsAt = startsAt + load.hours * 3_600_000;
  const total = load.backlog + Math.floor(load.perHour * load.hours);
  for (let slot = startsAt; ; slot = nextSlot(slot, clock.now(), load)) {
    clock.skip(slot - clock.now());
    for (let continuation = 0; ; continuation++) {
      const at = clock.now();
      const options = { deps: null, limitMs: load.limitSeconds * 1_000, scheduler: 'whatif', continuation };
      const report = await clock.run(tick(queue, ports, options));
      result.functionMs += clock.now() - at;
      if (result.drainedAfterMs === null && report.counts.claimed > 0) result.drainMs.push(clock.now() - at);
      if (report.ended === 'budget' && (report.backlogDue ?? 0) > 0) result.outOfTime++;
      if (result.done >= load.backlog) result.drainedAfterMs ??= clock.now() - startsAt;
      if (!hasMore(report) || continuation >= (report.maxContinuations ?? 0)) break;
    }
    if (result.done >= total || clock.now() >= endsAt) break;
  }
  late.sort((a, b) => a - b);
  result.lateMs = late[Math.max(0, Math.ceil(0.95 * late.length) - 1)] ?? null;
  return result;
}

/** A row never times out. */
export const timeoutMsOf = ({ rowMs }: Load) => (Math.ceil(Math.max(...rowMs) / 1_000) + 1) * 1_000;

const queueOf = (load: Load) => (load.delivery === 'at-most-once' ? 'dm_queue' : 'loads');

/** The next time of the schedule. A slot that comes while a tick runs is skipped, as the lock would. */
function nextSlot(slot: number, now: number, { everySeconds }: Load): number {
  const everyMs = everySeconds * 1_000;
  return slot + Math.max(1, Math.ceil((now - slot) / everyMs)) * everyMs;
}

/** A provider that accepts so many rows in any minute. */
function perMinute(most: number | null): (at: number) => boolean {
  const accepted: number[] = [];
  return (at) => {
    if (most === null) return true;
    while ((accepted[0] ?? at) <= at - 60_000) accepted.shift();
    if (accepted.length >= most) return false;
    accepted.push(at);
    return true;
  };
}

/** Empties the database and adds the load's rows. */
async function prepare({ sql }: LoadDatabase, load: Load, setting: Setting): Promise<void> {
  await sql(
    'create table if not exists public.loads (id bigint generated always as identity primary key, due timestamptz)',
  );
  await sql(
    `select punctual.add_queue('loads', 'public.loads', 'due', 'at-least-once')
      where not exists (select from punctual.queues where name = 'loads')`,
  );
  await sql('truncate public.loads, punctual.accounts, punctual.ticks, punctual.providers cascade');
  // Row n of the backlog is due at the start; each later one after its share of an hour.
  const due = `$4::timestamptz + make_interval(secs => coalesce(greatest(0, n - $1::integer) * 3600.0 / nullif($2::double precision, 0), 0))`;
  const rows =
    'generate_series(1, $1::integer + floor($2::double precision * $3::double precision)::integer) n';
  const counts = [load.backlog, load.perHour, load.hours, new Date(startsAt).toISOString()];
  if (load.delivery === 'at-least-once')
    await sql(`insert into public.loads (due) select ${due} from ${rows}`, counts);
  else {
    await sql(
      `insert into punctual.accounts (provider, provider_account_id, name, daily_limit, gap_seconds)
       select 'unipile', n::text, 'Account ' || n, coalesce($2::integer, 1000000), $3::integer from generate_series(1, $1::integer) n`,
      [load.accounts, load.dailyLimit, load.gapSeconds],
    );
    await sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
       select a.id, 'linkedin', 'chat-' || n, 'message', ${due} from ${rows}
         join punctual.accounts a on a.provider_account_id = (1 + (n - 1) % $5::integer)::text`,
      [...counts, load.accounts],
    );
  }
  await sql(
    'update punctual.queues set batch_limit = $2, concurrency = $3, timeout_seconds = $4 where name = $1',
    [queueOf(load), setting.batchLimit, setting.concurrency, timeoutMsOf(load) / 1_000],
  );
}
