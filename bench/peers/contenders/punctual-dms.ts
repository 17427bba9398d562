import { z } from 'zod';
import { done } from '../../../lib/engine/outcome.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { postgresRpc } from '../../../lib/store/postgres-rpc.ts';
import { addDueDms } from '../../due-dms.ts';
import { createDatabase } from '../databases.ts';
import type { Contender, Servers } from './contender.ts';
import { runTicks } from './punctual.ts';

export interface DmSetting {
  name: string;
  accounts: number;
  concurrency: number;
}

/** The queue `dm_queue` over a direct connection: one tick, under at-most-once, one message of an account at a time. */
export async function punctualDms(servers: Servers, setting: DmSetting): Promise<Contender> {
  const { name, accounts, concurrency } = setting;
  const { url, client, drop } = await createDatabase(servers);
  await addDueDms(client, { rows: 0, accounts, settled: 0 });
  await client.query('update punctual.queues set concurrency = $1', [concurrency]);
  const direct = postgresRpc({ url });
  let added = 0;
  return {
    name,
    guarantees: 'at most once; one message of an account at a time, in order and within its daily limit',
    async enqueue(count) {
      await client.query(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body)
         select a.id, 'linkedin', 'chat-' || n, 'message ' || n from generate_series(1, $1::integer) n
           join (select id, row_number() over (order by id) as number from punctual.accounts) a on a.number = 1 + ($2::integer + n) % $3::integer`,
        [count, added, accounts],
      );
      added += count;
    },
    async drain(count, handler) {
      const queue = defineQueue({
        name: 'dm_queue',
        row: z.object({ id: z.coerce.string(), body: z.string() }),
        delivery: 'at-most-once',
        timeoutMs: 15_000,
        connect: () => null,
        providers: () => ['unipile'],
        async perform() {
          await handler();
          return done();
        },
      });
      const [report] = await runTicks(direct.rpc, queue, 1);
      if (report?.counts.done !== count)
        throw new Error(`${name}: ${report?.counts.done} of ${count} messages are done`);
    },
    async close() {
      await direct.close();
      await drop();
    },
  };
}
