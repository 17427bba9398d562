import { expect, it } from 'vitest';
import { hasMore } from '../../lib/cron/continuation.ts';
import { type AccountedSlot, accountOfSlots } from '../../lib/cron/slots/slot-account.ts';
import { dead, done, retry } from '../../lib/engine/outcome.ts';
import { type SlotEntry, slotEntriesSchema } from '../../lib/store/slots.ts';
import { RandomStream } from '../simulation/random.ts';
import { testDatabase } from '../support/fixtures.ts';
import { seed } from '../support/property.ts';
import { tickBench } from '../support/tick-bench.ts';

const [second, minute, hour] = [1_000, 60_000, 3_600_000];
const startMs = Date.parse('2026-03-02T00:00:00Z');
/** 30 s after the day. Only the last deliveries come later. */
const endMs = startMs + 24 * hour + 30 * second;
const path = '/api/cron/dm-queue';
/** Both have slots at the full and the half hour. */
const schedulers = [
  { name: 'pg-cron', schedule: '*/2 * * * *', everyMs: 2 * minute },
  { name: 'worker', schedule: '*/30 * * * *', everyMs: 30 * minute },
];
const maxContinuations = 5;

interface Delivery {
  scheduler: (typeof schedulers)[number];
  slotMs: number;
  atMs: number;
}

/** A row and the outcome of each of its attempts. The last outcome repeats. */
interface Intent {
  body: string;
  dueMs: number;
  script: ('done' | 'retry' | 'dead')[];
}

/** The test's own record of a slot. */
type SlotRecord = { firstMs: number; deliveries: number; ran: boolean };

const database = testDatabase();

/** Draws rows that fall due all day, and three backlogs that take longer than the interval between slots. */
function drawIntents(random: RandomStream): Intent[] {
  const weights = { done: 80, 'retry done': 9, 'retry retry done': 5, dead: 3, retry: 3 };
  const draw = (body: string, dueMs: number): Intent => {
    const script = random.weighted(weights).split(' ') as Intent['script'];
    return { body, dueMs, script };
  };
  const spread = Array.from({ length: 100 }, (_, n) =>
    draw(`row ${n}`, startMs + Math.floor(random.next() * 20 * hour)),
  );
  const backlogs = [3, 9, 15].flatMap((at) =>
    Array.from({ length: 20 }, (_, n) => draw(`heap ${at}, row ${n}`, startMs + at * hour)),
  );
  return [...spread, ...backlogs];
}

/** In seconds. */
const delays = { prompt: [0, 5], slow: [5, 59.9], late: [60.1, 600] } as const;

/** Loses single slots and all slots of 45 minutes, and delivers others late, out of order or more than once. */
function drawDeliveries(random: RandomStream): Delivery[] {
  const outage = startMs + random.between(4, 18) * hour;
  const deliveries: Delivery[] = [];
  for (const scheduler of schedulers) {
    for (const slotMs of slotsOf(scheduler)) {
      // The first slot is never lost, because the report of slots begins with the first delivery.
      const lost =
        slotMs > startMs && (random.chance(0.08) || (slotMs > outage && slotMs < outage + 45 * minute));
      if (lost) continue;
      const [minSeconds, maxSeconds] = delays[random.weighted({ prompt: 70, slow: 10, late: 20 })];
      let atMs = slotMs + Math.floor(random.between(minSeconds, maxSeconds) * second);
      deliveries.push({ scheduler, slotMs, atMs });
      while (random.chance(0.15)) {
        atMs += Math.ceil(random.magnitude(0.05, 300) * second);
        deliveries.push({ scheduler, slotMs, atMs });
      }
    }
  }
  return deliveries;
}

function slotsOf({ everyMs }: Delivery['scheduler']): number[] {
  return Array.from({ length: Math.floor((endMs - startMs) / everyMs) + 1 }, (_, n) => startMs + n * everyMs);
}

/** Sorts deliveries and gives each an instant of its own, so that their order is defined. */
function inOrder(deliveries: Delivery[]): Delivery[] {
  let last = 0;
  const sorted = deliveries.toSorted((a, b) => a.atMs - b.atMs);
  const apart = sorted.map((one) => {
    last = Math.max(one.atMs, last + 1);
    return { ...one, atMs: last };
  });
  return apart.filter(({ atMs }) => atMs < endMs);
}

/** Plays a day of deliveries over a fresh database. */
async function playDay(seed: number, intents: Intent[], deliveries: Delivery[]) {
  await database.reset();
  const bench = tickBench(database, new Date(startMs).toISOString());
  const { clock } = bench;
  // With these limits a backlog of few rows takes long and needs several continuations.
  await database.sql(`update punctual.queues set concurrency = 2, batch_limit = 12 where name = 'dm_queue'`);
  await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'account-' || n, 'Account ' || n, 1000 from generate_series(1, 60) n`,
  );
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select a.id, 'linkedin', 'chat', x.body, x.due from jsonb_to_recordset($1) x (body text, due timestamptz, n integer)
       join punctual.accounts a on a.provider_account_id = 'account-' || (1 + x.n % 60) order by x.n`,
    [JSON.stringify(intents.map(({ body, dueMs }, n) => ({ body, due: new Date(dueMs).toISOString(), n })))],
  );

  const scripts = new Map(intents.map(({ body, script }) => [body, script]));
  const attempts = new Map<string, number>();
  const sends = new Map<string, number>();
  const queue = bench.queue(async ({ body }) => {
    const nth = attempts.get(body) ?? 0;
    attempts.set(body, nth + 1);
    const [minSeconds, maxSeconds] = body.startsWith('heap') ? [9, 14] : [0.2, 8];
    await bench.sleep(new RandomStream(`${seed}/${body}/${nth}`).between(minSeconds, maxSeconds) * second);
    const script = scripts.get(body) ?? [];
    const outcome = script[Math.min(nth, script.length - 1)];
    if (outcome === 'retry') return retry('not yet');
    if (outcome === 'dead') return dead('never');
    sends.set(body, (sends.get(body) ?? 0) + 1);
    return done();
  });

  const records = new Map<string, SlotRecord>();
  const started = new Set<string>();
  const mismatches: string[] = [];
  const counts = { deliveries: 0, continuations: 0, outOfOrder: 0 };
  let running = 0;
  let latestSlotMs = 0;

  async function deliver({ scheduler: { name, schedule }, slotMs }: Delivery): Promise<void> {
    const slot = new Date(slotMs).toISOString();
    const record = records.get(`${name} ${slotMs}`) ?? { firstMs: clock.now(), deliveries: 0, ran: false };
    records.set(`${name} ${slotMs}`, record);
    record.deliveries++;
    const overlaps = running > 0;
    record.ran ||= !overlaps;
    counts.deliveries++;
    if (slotMs < latestSlotMs) counts.outOfOrder++;
    latestSlotMs = Math.max(latestSlotMs, slotMs);
    const runId = crypto.randomUUID();
    for (let continuation = 0; continuation <= maxContinuations; continuation++) {
      const tickName = `${name} ${slot} continuation ${continuation}`;
      const isDuplicate = started.has(tickName);
      started.add(tickName);
      if (!overlaps) running++;
      const options = { limitMs: 300 * second, scheduler: name, path, schedule, slot, runId, continuation };
      const report = await bench.start(queue, options);
      if (!overlaps) running--;
      if ((report.outcome === 'skipped') !== overlaps) mismatches.push(`${tickName}: ${report.outcome}`);
      if (report.duplicate !== isDuplicate) mismatches.push(`${tickName}: duplicate ${report.duplicate}`);
      if (!hasMore(report)) return;
      counts.continuations++;
    }
  }

  const ticks: Promise<void>[] = [];
  for (const one of inOrder(deliveries)) clock.timer(one.atMs - clock.now(), () => ticks.push(deliver(one)));
  await clock.run(new Promise<void>((resolve) => void clock.timer(endMs - clock.now(), resolve)));
  await clock.run(Promise.all(ticks));

  const rows: { body: string; status: string; attempts: number }[] = await database.sql(
    'select body, status, attempts from punctual.dm_queue order by body collate "C"',
  );
  const entries = slotEntriesSchema.parse(
    await database.rpc('read_slots', { p_hours: 25, p_now: new Date(endMs).toISOString() }),
  );
  return { records, mismatches, counts, rows, attempts, sends, entries };
}

/** The expected report of a scheduler's slots, from the test's own records. */
function expected(records: Map<string, SlotRecord>, scheduler: Delivery['scheduler']): AccountedSlot[] {
  return slotsOf(scheduler).flatMap((atMs): AccountedSlot[] => {
    const record = records.get(`${scheduler.name} ${atMs}`);
    if (!record)
      return endMs - atMs > minute ? [{ atMs, state: 'missed', lateSeconds: null, deliveries: 0 }] : [];
    const lateSeconds = (record.firstMs - atMs) / 1_000;
    const state = lateSeconds > 60 ? 'late' : record.ran ? 'ran' : 'overlapped';
    return [{ atMs, state, lateSeconds, deliveries: record.deliveries }];
  });
}

/** The row's end and the attempts that it takes. A row that is never done is given up after five. */
const endOf = ({ body, script }: Intent) => {
  const isSent = script.at(-1) === 'done';
  const attempts = script.at(-1) === 'retry' ? 5 : script.length;
  return { body, status: isSent ? 'sent' : 'failed', attempts, performed: attempts, sends: isSent ? 1 : 0 };
};

it(`a day of slots (SEED=${seed}) is reported slot by slot as it was delivered, and rows end the same however slots are delivered`, async () => {
  const intents = drawIntents(new RandomStream(`${seed}/rows`));
  const day = await playDay(seed, intents, drawDeliveries(new RandomStream(`${seed}/clock`)));
  expect(day.mismatches).toEqual([]);
  expect(day.entries.map(({ scheduler }) => scheduler)).toEqual(schedulers.map(({ name }) => name));
  const reports = schedulers.map((scheduler, nth) => {
    const entry = day.entries[nth] as SlotEntry;
    const { slots, offGrid, sinceMs } = accountOfSlots(entry, endMs, endMs - 25 * hour);
    expect(slots).toEqual(expected(day.records, scheduler));
    expect([offGrid, sinceMs]).toEqual([0, startMs]);
    return slots;
  });
  // The day covered every case.
  const states = new Set(reports[0]?.map(({ state }) => state));
  expect(states).toEqual(new Set(['ran', 'late', 'overlapped', 'missed']));
  expect(day.counts.outOfOrder).toBeGreaterThan(10);
  expect(day.counts.continuations).toBeGreaterThan(0);

  // Every counted attempt was made, and no other. A sent row was sent once.
  const ends = day.rows.map((row) => ({
    ...row,
    performed: day.attempts.get(row.body),
    sends: day.sends.get(row.body) ?? 0,
  }));
  const byBody = (a: { body: string }, b: { body: string }) => (a.body < b.body ? -1 : 1);
  expect(ends).toEqual(intents.map(endOf).sort(byBody));
}, 300_000);
