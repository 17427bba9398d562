import { readFileSync } from 'node:fs';
import { Cron } from 'croner';
import { z } from 'zod';
import { callEndpoint, fetchFault, isTimeout } from '../lib/cron/call-endpoint';

const vercelJson = z.object({
  functions: z.record(z.string(), z.object({ regions: z.array(z.string()).optional() })).default({}),
  crons: z
    .array(
      z.object({
        path: z.string().startsWith('/', 'must start with /'),
        schedule: z.string().refine(isSchedule, 'is no cron expression'),
      }),
    )
    .default([]),
});

export type CronEntry = z.infer<typeof vercelJson>['crons'][number];

/** The cron entries of a `vercel.json`. Throws an `Error` that says what is wrong with the file. */
export function readCrons(file = 'vercel.json'): CronEntry[] {
  return readSchedules(file).crons;
}

export interface Schedules {
  crons: CronEntry[];
  /** Whether `functions` says in which regions a path's route runs. */
  isPinned: (path: string) => boolean;
}

/** The cron entries of a `vercel.json`, and what it pins to regions. Throws as `readCrons` does. */
export function readSchedules(file = 'vercel.json'): Schedules {
  const parsed = vercelJson.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (parsed.success) {
    const { crons, functions } = parsed.data;
    const pinned = Object.keys(functions)
      .filter((glob) => functions[glob]?.regions)
      .map(fileMatcher);
    return {
      crons,
      isPinned(path) {
        const route = `app${path.split('?')[0]}/route`;
        const files = [route, `src/${route}`].flatMap((file) => [`${file}.ts`, `${file}.js`]);
        return pinned.some((glob) => files.some((file) => glob.test(file)));
      },
    };
  }
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new Error(`${file}: ${faults.join('; ')}`);
}

/** Matches the files of a glob in `functions`. `*`, `**`, `?` and `{a,b}` are those of globs; brackets stand for themselves, since Next's folders have them in their names. */
export function fileMatcher(glob: string): RegExp {
  const wild: Record<string, string> = {
    '**/': '(?:.*/)?',
    '**': '.*',
    '*': '[^/]*',
    '?': '[^/]',
    '{': '(?:',
    '}': ')',
    ',': '|',
  };
  const source = glob.replace(/\*\*\/|\*\*|[*?{},]|[\\^$.|+()[\]]/g, (found) => wild[found] ?? `\\${found}`);
  return new RegExp(`^${source}$`);
}

export interface SchedulerCall {
  path: string;
  /** The instant it was fired for, ISO 8601. */
  slot: string;
  /** The answer's JSON: of a queue its `TickReport`. Null where it was none. */
  body: unknown;
}

export interface LocalSchedulerOptions {
  crons: CronEntry[];
  /** The app's address, such as `http://127.0.0.1:3000`. */
  baseUrl: string;
  cronSecret: string;
  /** Fires entries that are due every hour or oftener at this pace instead, and once at the start. */
  everyMs?: number;
  /** How ticks name what called them; `local` unless given. */
  scheduler?: string;
  /** Told of every call that was answered by 2xx. */
  onReport?: (call: SchedulerCall) => void;
  /** Told what is wrong with an entry's calls, once for as long as it stays the same, however many entries meet it. */
  onError?: (message: string) => void;
  fetch?: typeof globalThis.fetch;
}

/** The routes' `maxDuration` of 60 s, and some. A call that takes longer has no answer to wait for. */
const callTimeoutMs = 75_000;
/** Timers are set anew at least this often, so that a machine that slept or was set right is noticed. */
const longestWaitMs = 60_000;
const hourMs = 3_600_000;

/**
 * Calls what `vercel.json` names at the times it names, in UTC, as Vercel Cron does in production. Calls are not held apart: the
 * endpoint copes with two at once. Of the instants that the machine slept through one is made up for.
 *
 * The returned function ends it, and resolves when the calls under way are answered.
 */
export function startLocalScheduler(options: LocalSchedulerOptions): () => Promise<void> {
  const { everyMs, scheduler = 'local', cronSecret: secret, fetch } = options;
  const timers = new Map<CronEntry, NodeJS.Timeout>();
  const underWay = new Set<Promise<void>>();
  const faults = new Map<CronEntry, string>();

  function schedule(entry: CronEntry, afterMs: number): void {
    const slotMs = nextSlot(entry, afterMs, everyMs);
    if (slotMs !== null) wait(entry, slotMs);
  }

  function wait(entry: CronEntry, slotMs: number): void {
    const leftMs = slotMs - Date.now();
    if (leftMs > 0) {
      timers.set(
        entry,
        setTimeout(() => wait(entry, slotMs), Math.min(leftMs, longestWaitMs)),
      );
      return;
    }
    const call = fire(entry, new Date(slotMs).toISOString()).finally(() => underWay.delete(call));
    underWay.add(call);
    schedule(entry, Math.max(slotMs, Date.now()));
  }

  async function fire(entry: CronEntry, slot: string): Promise<void> {
    const fault = await call(entry, slot).catch((error) => {
      const why = isTimeout(error) ? `no answer within ${callTimeoutMs / 1_000} s` : fetchFault(error);
      return `could not be called: ${why}`;
    });
    if (fault === null) faults.delete(entry);
    else if (faults.get(entry) !== fault) {
      const isKnown = [...faults.values()].includes(fault);
      faults.set(entry, fault);
      if (!isKnown) options.onError?.(`${entry.path} ${fault}`);
    }
  }

  /** Answers what was wrong with the answer. */
  async function call(entry: CronEntry, slot: string): Promise<string | null> {
    const url = new URL(entry.path, options.baseUrl);
    // At a pace of its own an entry's slots are not those of its schedule.
    const said = { scheduler, slot, schedule: scheduleOf(entry, everyMs) };
    const response = await callEndpoint(url, said, {
      secret,
      timeoutMs: callTimeoutMs,
      method: 'GET',
      fetch,
    });
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) return `answered ${response.status}${messageOf(body)}`;
    options.onReport?.({ path: entry.path, slot, body });
    return null;
  }

  for (const entry of options.crons) {
    // One pace back, so that the first slot is the present one.
    const startMs = Date.now();
    schedule(entry, everyMs !== undefined && isFrequent(entry) ? startMs - everyMs : startMs);
  }

  return async () => {
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    await Promise.all(underWay);
  };
}

/** The first instant after `afterMs` that an entry is due, in milliseconds since the epoch; null when there is none. */
export function nextSlot(entry: CronEntry, afterMs: number, everyMs?: number): number | null {
  if (everyMs !== undefined && isFrequent(entry)) return (Math.floor(afterMs / everyMs) + 1) * everyMs;
  return cronOf(entry.schedule).nextRun(new Date(afterMs))?.getTime() ?? null;
}

/** The latest instant up to `atMs` that an entry was due, in milliseconds since the epoch; null when there is none. */
export function latestSlot(entry: CronEntry, atMs: number, everyMs?: number): number | null {
  if (everyMs !== undefined && isFrequent(entry)) return Math.floor(atMs / everyMs) * everyMs;
  // The library looks strictly before the whole second it is given.
  const after = new Date(Math.floor(atMs / 1_000) * 1_000 + 1_000);
  return cronOf(entry.schedule).previousRuns(1, after)[0]?.getTime() ?? null;
}

/** What an entry's slots follow, as a cron expression; null for a pace that none says. */
export function scheduleOf(entry: CronEntry, everyMs?: number): string | null {
  if (everyMs === undefined || !isFrequent(entry)) return entry.schedule;
  const seconds = everyMs / 1_000;
  if (seconds === 60) return '* * * * *';
  return Number.isInteger(seconds) && 60 % seconds === 0 ? `*/${seconds} * * * * *` : null;
}

const known = new Map<string, boolean>();
/** A week of minutes, from a Monday, and the first of the next. */
const weekOfMinutes = 10_081;
const aMonday = new Date('2026-01-04T23:59:59Z');

/** Due every hour or oftener, all week long: one that keeps hours or days of its own keeps them at any pace. */
export function isFrequent({ schedule }: CronEntry): boolean {
  let is = known.get(schedule);
  if (is === undefined) {
    // By `utcOffset` the library takes 30 ms for a week of minutes, by `timezone` a second; they name the same instants.
    const cron = new Cron(schedule, { utcOffset: 0, paused: true, mode: '5-part' });
    const runs = [aMonday, ...cron.nextRuns(weekOfMinutes, aMonday)].map((run) => run.getTime());
    is = runs.length > 1 && runs.every((run, n) => n === 0 || run - (runs[n - 1] ?? 0) <= hourMs + 1_000);
    known.set(schedule, is);
  }
  return is;
}

function cronOf(schedule: string): Cron {
  // Vercel takes five fields; croner would read six as well, with seconds.
  return new Cron(schedule, { timezone: 'UTC', paused: true, mode: '5-part' });
}

function isSchedule(schedule: string): boolean {
  try {
    return Boolean(cronOf(schedule));
  } catch {
    return false;
  }
}

function messageOf(body: unknown): string {
  const message = (body as { error?: { message?: unknown } } | null)?.error?.message;
  return typeof message === 'string' ? `: ${message}` : '';
}
