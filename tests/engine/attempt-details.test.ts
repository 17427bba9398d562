import { expect, it } from 'vitest';
import { z } from 'zod';
import { dead, done, retry } from '../../lib/engine/outcome.ts';
import { ProviderError } from '../../lib/net/http.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';
import type { Perform } from '../support/tick-bench.ts';

const database = testDatabase({ own: true });
const bench = perTestBench(database);

/** Runs one attempt, and returns its events in the history. */
async function eventsOf(perform: Perform, changes: Parameters<typeof bench.queue>[1] = {}) {
  await bench.addDms(1);
  await bench.tick(bench.queue(perform, changes));
  return database.sql(
    'select event, kind, code, answer, duration_ms, text from punctual.history order by id',
  );
}

it('a failed attempt is kept with its duration, and the kind, code and answer of its error', async () => {
  const failure = { kind: 'rejected', provider: 'acme', status: 422, code: 'e1', answer: '{"a":1}' } as const;
  const events = await eventsOf(async () => {
    await bench.sleep(240);
    throw new ProviderError('acme answered 422 (e1)', failure);
  });
  expect(events).toEqual([
    {
      ...{ event: 'dead', kind: 'rejected', code: 'e1', answer: '{"a":1}', duration_ms: 240 },
      text: 'acme answered 422 (e1)',
    },
  ]);
});

it.each([
  ['the status, if the provider gives no code', { kind: 'uncertain', status: 502 }, 'uncertain', 502],
  ['no code', new Error('bug'), 'thrown', null],
  [
    'no kind of another library',
    Object.assign(new Error('x'), { kind: 'other', code: 'ENOENT' }),
    'thrown',
    'ENOENT',
  ],
  ['no details that cannot be read', new Proxy({}, { get: () => JSON.parse('{') }), 'thrown', null],
])('an error has %s', async (_what, thrown, kind, code) => {
  const events = await eventsOf(() => {
    throw thrown;
  });
  expect(events).toMatchObject([{ event: 'unknown', kind, code }]);
});

it('an attempt that has no answer in time is kept as a timeout, with all its time', async () => {
  const events = await eventsOf(() => new Promise(() => {}), { timeoutMs: 1_000 });
  expect(events).toMatchObject([{ event: 'unknown', kind: 'timeout', duration_ms: 1_250 }]);
});

it('an outcome that the handler returned is kept as such', async () => {
  expect(await eventsOf(() => retry('later'))).toMatchObject([
    { event: 'retry', kind: 'returned', text: 'later' },
  ]);
});

it('a row that does not fit its schema is kept as unreadable, without a duration', async () => {
  await bench.addDms(1);
  await bench.tick(
    bench.queue(() => dead('unused'), { row: bench.queue(() => done()).row.refine(() => false, 'odd') }),
  );
  const events = await database.sql('select event, kind, duration_ms from punctual.history');
  expect(events).toEqual([{ event: 'retry', kind: 'unreadable', duration_ms: null }]);
});

it('a success of a first attempt is on the row alone; that of a later one is kept, with and without a result', async () => {
  expect(await eventsOf(() => done({ provider_message_id: 'm1' }))).toEqual([]);
  for (const result of [{ provider_message_id: 'm2' }, undefined]) {
    await database.sql('delete from punctual.history');
    await database.sql(
      `update punctual.dm_queue set status = 'pending', attempts = 1, claim_id = null, finished_at = null`,
    );
    await bench.tick(bench.queue(() => done(result)));
    const [event] = await database.sql('select event, proof, duration_ms, claim_id from punctual.history');
    expect(event).toMatchObject({
      event: 'done',
      proof: result?.provider_message_id ?? null,
      duration_ms: 0,
    });
    expect(event.claim_id).toEqual(expect.any(String));
  }
});

it('a success in an at-least-once queue writes nothing', async () => {
  await database.sql(`insert into punctual.jobs (name, run_at) values ('x', '2020-01-01')`);
  const jobs = bench.queue(() => done(), {
    name: 'jobs',
    delivery: 'at-least-once',
    row: z.object({}),
  } as never);
  await bench.tick(jobs, { partition: 'default' });
  expect(await database.sql('select status from punctual.jobs')).toEqual([{ status: 'done' }]);
  expect(await database.sql('select * from punctual.history')).toEqual([]);
});
