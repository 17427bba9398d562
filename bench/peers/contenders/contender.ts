import { setTimeout as sleep } from 'node:timers/promises';

/** The servers that contenders run on, all on the loopback address with their default durability. */
export interface Servers {
  /** The owner's connection to Postgres. */
  databaseUrl: string;
  /** PostgREST behind the gateway, as supabase-js calls it. */
  supabaseUrl: string;
  /** PostgREST itself. The gateway runs in this process and would take time from what is measured. */
  postgrestUrl: string;
  serviceRoleKey: string;
  redisPort: number;
}

export type Handler = () => Promise<void> | void;

export interface Idle {
  ms: number;
  calls: number;
  commands: number;
}

/** One queue in one setting. */
export interface Contender {
  name: string;
  /** What it promises in this setting. */
  guarantees: string;
  /** Adds `count` due jobs by the contender's own bulk calls. */
  enqueue(count: number): Promise<void>;
  /** Performs `count` due jobs. Resolves once the last one is recorded as done. */
  drain(count: number, handler: Handler): Promise<void>;
  /** Adds `count` jobs, one each `everyMs`, while it listens. Returns how long each waited until it started, in milliseconds. */
  startTimes?(count: number, everyMs: number): Promise<number[]>;
  /** Ticks without a due job. Returns the time, the calls to the database and the Redis commands. */
  idle?(): Promise<Idle>;
  /** Claims up to 100 due rows by a new tick, and settles them. Returns the claim's time in milliseconds. */
  claimMs?(): Promise<number>;
  close(): Promise<void>;
}

/** Adds a job each `everyMs` by `add`, and resolves with the times until `started(n)` was called for each. */
export function timeStarts(
  count: number,
  everyMs: number,
  add: (n: number) => Promise<unknown>,
): { times: Promise<number[]>; started(n: number): void } {
  const addedAt: number[] = [];
  const times: number[] = [];
  let finish: (times: number[]) => void = () => {};
  const all = new Promise<number[]>((resolve) => {
    finish = resolve;
  });
  const addAll = async () => {
    for (let n = 0; n < count; n++) {
      addedAt[n] = performance.now();
      await add(n);
      await sleep(everyMs);
    }
  };
  addAll().catch(() => finish([]));
  return {
    times: all,
    started(n) {
      times.push(performance.now() - (addedAt[n] ?? Number.NaN));
      if (times.length === count) finish(times);
    },
  };
}

/** Calls `handler` and resolves `all` once it has ended `count` times. */
export function countingHandler(count: number, handler: Handler): { handle: Handler; all: Promise<void> } {
  let left = count;
  let finish = () => {};
  const all = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return {
    all,
    async handle() {
      await handler();
      if (--left === 0) finish();
    },
  };
}

/** Makes `count` items by their number, and passes them to `add` in chunks. */
export async function addInChunks<Item>(
  count: number,
  chunk: number,
  make: (n: number) => Item,
  add: (items: Item[]) => Promise<unknown>,
): Promise<void> {
  for (let added = 0; added < count; added += chunk)
    await add(Array.from({ length: Math.min(chunk, count - added) }, (_, n) => make(added + n)));
}
