import { afterEach, beforeEach, expect, it } from 'vitest';
import { done, type Outcome } from '../../lib/engine/outcome.ts';
import { request } from '../../lib/net/http.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';
import { testDatabase } from '../support/fixtures.ts';
import { type Perform, tickBench } from '../support/tick-bench.ts';

const database = testDatabase();
const servers = loopback();
let sent: number;
let url: string;
beforeEach(async () => {
  sent = 0;
  url = await servers.answering((socket) => {
    sent++;
    socket.end(httpAnswer(200, '{}'));
  });
});
afterEach(() => servers.closeAll());

const absence = { proof: [], candidates: [], absentAfterMs: 0, text: 'it is not there' };

/**
 * Suspends a machine in the middle of an attempt, before its request goes out. Meanwhile another machine sweeps the row, checks it,
 * finds that the provider does not have it, and sends it.
 */
async function suspended(wakeUp: (send: () => Promise<Outcome>) => Promise<Outcome>) {
  const bench = tickBench(database);
  await bench.addDms(1);
  const send = async (signal: AbortSignal, id: string): Promise<Outcome> => {
    await bench.clock.busy(request({ provider: 'unipile', method: 'POST', url, signal }));
    return done({ provider_message_id: id });
  };
  const others = bench.queue((_row, { signal }) => send(signal, 'm2'), { reconcile: async () => absence });
  let slept = false;
  const perform: Perform = async (_row, { signal }) => {
    if (!slept) {
      slept = true;
      await bench.sleep(1_000);
      // The whole machine stands still meanwhile, its timers included.
      bench.clock.skip(20 * 60_000);
      await bench.start(others);
      bench.clock.skip(30_000);
      // The first tick checks the row, and the second sends it.
      await bench.start(others);
      await bench.start(others);
    }
    return wakeUp(() => send(signal, 'm1'));
  };
  await bench.tick(bench.queue(perform));
  const [row] = await database.sql('select status, provider_message_id from punctual.dm_queue');
  const history = await database.sql('select event from punctual.history order by id');
  return { row, events: history.map(({ event }) => event) };
}

it('a machine that wakes up does not send a row that another machine sent meanwhile', async () => {
  const { row, events } = await suspended((send) => send());
  expect(sent).toBe(1);
  expect(row).toEqual({ status: 'sent', provider_message_id: 'm2' });
  expect(events).toEqual(['swept', 'absent', 'done']);
});

it('the history says that a row was delivered twice if the handler sends without checking its signal', async () => {
  const { row, events } = await suspended(async () => {
    sent++;
    return done({ provider_message_id: 'm1' });
  });
  expect(sent).toBe(2);
  expect(row).toEqual({ status: 'sent', provider_message_id: 'm2' });
  expect(events).toEqual(['swept', 'absent', 'done', 'twice']);
});
