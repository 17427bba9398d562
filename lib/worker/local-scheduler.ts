import { readFileSync } from 'node:fs';
import { Cron } from 'croner';
import { z } from 'zod';
import { callEndpoint, fetchFault, isTimeout } from '../cron/call-endpoint.ts';

const vercelJson = z.object({
  functions: z.record(z.string(), z.object({ regions: z.array(z.string()).optional() })).default({}),
  crons: z
    .array(
      z.object({
        path: z.string().startsWith('/', 'must start with /'),
        schedule: z.string().refine(isSchedule, 'is not a cron expression'),
      }),
    )
    .default([]),
});

export type CronEntry = z.infer<typeof vercelJson>['crons'][number];

/** Reads the cron entries of a `vercel.json`. Throws an `Error` that names the faults of the file. */
export function readCrons(file = 'vercel.json'): CronEntry[] {
  return readSchedules(file).crons;
}

export interface Schedules {
  crons: CronEntry[];
  /** Whether `functions` pins the route of a path to regions. */
  isPinned: (path: string) => boolean;
}

/** Reads the cron entries of a `vercel.json` and which routes it pins to regions. Throws as `readCrons` does. */
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

/**
 * Returns a pattern for the files of a glob in `functions`. Supports `*`, `**`, `?` and `{a,b}`. Brackets are literal, because Next's folders have
 * them in their names.
 */
export function fileMatcher(glob: string): RegExp {
  const wildcards: Record<string, string> = {
    '**/': '(?:.*/)?',
    '**': '.*',
    '*': '[^/]*',
    '?': '[^/]',
    '{': '(?:',
    '}': ')',
    ',': '|',
  };
  const source = glob.replace(
    /\*\*\/|\*\*|[*?{},]|[\\^$.|+()[\]]/g,
    (found) => wildcards[found] ?? `\\${found}`,
  );
  return new RegExp(`^${source}$`);
}

export interface SchedulerCall {
  path: string;
  /** ISO 8601. */
  slot: string;
  /** The response's JSON, for a queue its `TickReport`; null if it was no JSON. */
  body: unknown;
}

export interface LocalSchedulerOptions {
  crons: CronEntry[];
  /** The app's address, for example `http://127.0.0.1:3000`. */
  baseUrl: string;
  cronSecret: string;
  /** Entries that are due at least hourly fire at this interval instead, and once at the start. */
  everyMs?: number;
  /** The scheduler's name in the ledger; `local` by default. */
  scheduler?: string;
  /** Called for every 2xx response. */
  onReport?: (call: SchedulerCall) => void;
  /** Called with the fault of an entry's calls, once while it stays the same, even if several entries have it. */
  onError?: (message: string) => void;
  fetch?: typeof globalThis.fetch;
}

/** The routes' `maxDuration` of 60 s and a margin. A longer call gets no response. */
const callTimeoutMs = 75_000;
/** The longest timer. The clock is read again after it, because the machine may have slept or its clock may have been set. */
const longestWaitMs = 60_000;
const hourMs = 3_600_000;

/**
 * Calls the paths of `vercel.json` by their schedules, in UTC, as Vercel Cron does in production. Calls may overlap, as the endpoints allow. If the
 * machine slept through several slots of an entry, one of them is made up for.
 *
 * Returns a function that ends the scheduler. It resolves when the open calls have responses.
 */
export function startLocalScheduler(options: LocalSchedulerOptions): () => Promise<void> {
  const { everyMs, scheduler = 'local', cronSecret: secret, fetch } = options;
  const timers = new Map<CronEntry, NodeJS.Timeout>();
  const openCalls = new Set<Promise<void>>();
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
    const call = fire(entry, new Date(slotMs).toISOString()).finally(() => openCalls.delete(call));
    openCalls.add(call);
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

  /** Returns the fault of the response; null if it was 2xx. */
  async function call(entry: CronEntry, slot: string): Promise<string | null> {
    const url = new URL(entry.path, options.baseUrl);
    // With `everyMs`, the slots are not those of the entry's schedule.
    const headers = { scheduler, slot, schedule: scheduleOf(entry, everyMs) };
    const response = await callEndpoint(url, headers, {
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
    // One interval back, so that the first slot is the current one.
    const startMs = Date.now();
    schedule(entry, everyMs !== undefined && isFrequent(entry) ? startMs - everyMs : startMs);
  }

  return async () => {
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    await Promise.all(openCalls);
  };
}

/** Returns the first slot of an entry after `afterMs`, in milliseconds since 1970; null if there is none. */
export function nextSlot(entry: CronEntry, afterMs: number, everyMs?: number): number | null {
  if (everyMs !== undefined && isFrequent(entry)) return (Math.floor(afterMs / everyMs) + 1) * everyMs;
  return cronOf(entry.schedule).nextRun(new Date(afterMs))?.getTime() ?? null;
}

/** Returns the latest slot of an entry up to `atMs`, in milliseconds since 1970; null if there is none. */
export function latestSlot(entry: CronEntry, atMs: number, everyMs?: number): number | null {
  if (everyMs !== undefined && isFrequent(entry)) return Math.floor(atMs / everyMs) * everyMs;
  // The library starts strictly before the whole second that it is given.
  const after = new Date(Math.floor(atMs / 1_000) * 1_000 + 1_000);
  return cronOf(entry.schedule).previousRuns(1, after)[0]?.getTime() ?? null;
}

/** Returns the cron expression of an entry's slots; null if no expression describes `everyMs`. */
export function scheduleOf(entry: CronEntry, everyMs?: number): string | null {
  if (everyMs === undefined || !isFrequent(entry)) return entry.schedule;
  const seconds = everyMs / 1_000;
  if (seconds === 60) return '* * * * *';
  return Number.isInteger(seconds) && 60 % seconds === 0 ? `*/${seconds} * * * * *` : null;
}

const cache = new Map<string, boolean>();
/** The minutes of a week and the first minute of the next. */
const weekOfMinutes = 10_081;
const beforeMonday = new Date('2026-01-04T23:59:59Z');

/** Whether an entry is due at least hourly, all week. `everyMs` applies only then: a schedule with certain hours or days keeps them. */
export function isFrequent({ schedule }: CronEntry): boolean {
  let isDueHourly = cache.get(schedule);
  if (isDueHourly === undefined) {
    // With `utcOffset` the library takes 30 ms for a week of minutes; with `timezone`, for the same instants, a second.
    const cron = new Cron(schedule, { utcOffset: 0, paused: true, mode: '5-part' });
    const runs = [beforeMonday, ...cron.nextRuns(weekOfMinutes, beforeMonday)].map((run) => run.getTime());
    isDueHourly =
      runs.length > 1 && runs.every((run, n) => n === 0 || run - (runs[n - 1] ?? 0) <= hourMs + 1_000);
    cache.set(schedule, isDueHourly);
  }
  return isDueHourly;
}

function cronOf(schedule: string): Cron {
  // Vercel accepts five fields. Without the mode, croner also accepts six, with seconds.
  return new Cron(schedule, { timezone: 'UTC', paused: true, mode: '5-part' });
}

/** Whether Vercel accepts the cron expression. */
export function isSchedule(schedule: string): boolean {
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
