import { afterAll } from 'vitest';
import { GET, POST } from '../../app/api/cron/dm-queue/route.ts';
import { startSandbox } from '../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../lib/sandbox/shapes/whatsapp-shape.ts';
import { apiRequest, bearer, CRON_SECRET, type RequestHeaders } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

/** Calls `/api/cron/dm-queue` over a test database, with the sandbox as both providers. */
export async function cronBench(options: { own?: boolean } = {}) {
  const sandbox = await startSandbox();
  const variables = {
    UNIPILE_DSN: sandbox.url,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    WHATSAPP_ACCESS_TOKEN: SANDBOX_ACCESS_TOKEN,
    WHATSAPP_BASE_URL: sandbox.url,
  };
  const database = servedDatabase(variables, options);
  afterAll(() => sandbox.close());

  async function addAccount(provider: string, providerAccountId: string): Promise<string> {
    const [account] = await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ($1, $2, $2) returning id`,
      [provider, providerAccountId],
    );
    return account.id;
  }
  return {
    database,
    sandbox,
    variables,
    tick: (headers: RequestHeaders = bearer(CRON_SECRET), method: 'GET' | 'POST' = 'GET') =>
      (method === 'GET' ? GET : POST)(apiRequest(method, '/api/cron/dm-queue', headers)),
    addAccount,
    /** Adds due messages, each with an account of its own. Their bodies begin with `text`. */
    async addDms(count: number, text: string): Promise<void> {
      for (let n = 1; n <= count; n++)
        await database.sql(
          `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'linkedin', 'person', $2)`,
          [await addAccount('unipile', `${text} ${n}`), `${text} ${n}`],
        );
    },
    ledger: () => database.sql('select * from punctual.ticks order by started_at'),
    messages: () => database.sql('select * from punctual.dm_queue order by id'),
    delivered: (text: string) => sandbox.deliveries().filter((delivery) => delivery.text.startsWith(text)),
  };
}
