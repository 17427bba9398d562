import { readAccount } from '@/lib/operate/account-pace.ts';
import { listAccounts } from '@/lib/operate/accounts.ts';
import { readCursor } from './read-cursor.ts';
import { orNotFound, visitedServices } from './visited.ts';

/** Each costs a read of its pace. */
const accountsOnPage = 20;

/** Reads a page of accounts by name, with their pace in each queue. */
export async function readAccounts(cursor?: string) {
  const { rpc } = await visitedServices();
  const { items, next } = await listAccounts(rpc, { limit: accountsOnPage, ...readCursor(cursor) });
  return { next, items: await Promise.all(items.map(({ id }) => readAccount(rpc, id))) };
}

/** Reads one account with its pace in each queue. */
export async function readOneAccount(id: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => readAccount(rpc, id));
}
