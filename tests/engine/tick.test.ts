import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome';
import { openTestDatabase, type TestDatabase } from '../support/test-database';
import { tickBench } from '../support/tick-bench';

let database: TestDatabase;
let bench: ReturnType<typeof tickBench>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  bench = tickBench(database);
});

describe('a tick', () => {
  it('performs every due row once and settles it', async () => {
    await bench.addDms(12);
    const bodies: string[] = [];
    const report = await bench.tick(
      bench.queue(async (row) => {
        bodies.push(row.body);
        await bench.sleep(400);
        return done();
      }),
    );
    expect(bodies.sort()).toEqual(Array.from({ length: 12 }, (_, n) => `message ${n + 1}`).sort());
    expect(report).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      backlogDue: 0,
      counts: { claimed: 12, done: 12 },
    });
    expect(await bench.states()).toEqual({ sent: 12 });
  });

  it('costs one call of the database when nothing is due', async () => {
    await bench.addDms(0, { accounts: 3 });
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ outcome: 'idle', ended: 'drained', exchanges: 1 });
    expect(bench.calls).toHaveLength(1);
  });
});
