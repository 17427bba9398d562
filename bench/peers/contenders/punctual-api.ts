import pLimit from 'p-limit';
import { z } from 'zod';
import { enqueueDms } from '../../../lib/queues/dm-queue/new-dms.ts';
import { enqueueJobs } from '../../../lib/queues/jobs/new-jobs.ts';
import type { Rpc } from '../../../lib/store/rpc.ts';
import { addInChunks, type Contender } from './contender.ts';
import type { Sql } from './punctual.ts';

/** The most rows of a call. */
const chunk = 1_000;
const callsInFlight = 2;

/** The bulk calls of Punctual's API, with all of their checks. */
export async function punctualApi(
  rpc: Rpc,
  sql: Sql,
  { name, of }: { name: string; of: 'jobs' | 'messages' },
): Promise<Contender> {
  const jobs = { bench: { payload: z.object({ n: z.number() }), run: async () => null } };
  const accountId = crypto.randomUUID();
  await sql(
    `insert into punctual.accounts (id, provider, provider_account_id, name) values ('${accountId}', 'unipile', '${accountId}', 'bench')`,
  );
  const make = (n: number) =>
    of === 'jobs'
      ? { name: 'bench', payload: { n } }
      : { account_id: accountId, channel: 'linkedin', chat_id: `chat-${n}`, body: `message ${n}` };
  const add = (rows: object[]) => (of === 'jobs' ? enqueueJobs({ rpc, jobs }, rows) : enqueueDms(rpc, rows));
  return {
    name,
    guarantees: 'validated; all rows of a call or none; keys prevent a second one',
    async enqueue(count) {
      const limit = pLimit(callsInFlight);
      const calls: Promise<unknown>[] = [];
      await addInChunks(count, chunk, make, async (rows) => void calls.push(limit(() => add(rows))));
      await Promise.all(calls);
    },
    drain: () => Promise.reject(new Error('this contender only adds')),
    close: async () => {},
  };
}
