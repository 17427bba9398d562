import { cache } from 'react';
import { listAccounts } from '@/lib/operate/accounts.ts';
import { type Act, auditQuery, listAudit } from '@/lib/operate/audit.ts';
import { readQueues } from './queues.ts';
import { readCursor } from './read-cursor.ts';
import { visitedServices } from './visited.ts';

interface ActFilter {
  queue?: string;
  by?: string;
  target?: string;
  cursor?: string;
  limit?: number;
}

/** The accounts whose names are known. */
const maxNames = 200;

/** Reads a page of what people did, the latest first, with the names that its sentences need. A filter that nothing can match is left out. */
export async function readActs({ cursor, limit = 50, ...filter }: ActFilter = {}) {
  const { rpc } = await visitedServices();
  const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  const parsed = auditQuery.safeParse(given);
  const query = parsed.success ? parsed.data : {};
  const [acts, stats] = await Promise.all([
    listAudit(rpc, { ...query, limit, ...readCursor(cursor) }),
    readQueues().catch(() => null),
  ]);
  const names = {
    words: new Map(stats?.queues.map((queue) => [queue.name, queue.words])),
    accounts: acts.items.some(namesAccount) ? await readNames() : new Map<string, string>(),
  };
  return { ...acts, names };
}

const namesAccount = ({ act, target }: Act) =>
  target !== null && (act.endsWith('_account') || act === 'end_refusal');

const readNames = cache(async () => {
  const { rpc } = await visitedServices();
  const { items } = await listAccounts(rpc, { limit: maxNames });
  return new Map(items.map(({ id, name }) => [id, name]));
});
