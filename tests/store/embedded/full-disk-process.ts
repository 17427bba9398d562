/**
 * Runs an app's routes over an embedded database in `<folder>/db`, for a test that fills the disk of `folder`. It answers each message of
 * its parent with one message, and reports SIGTERM.
 */
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { endpoints as accountsApi } from '../../../lib/api/accounts.ts';
import { endpoints as dmsApi } from '../../../lib/api/dms.ts';
import { endpoints as statsApi } from '../../../lib/api/stats.ts';

const { 'POST /accounts': createAccount } = accountsApi;
const { 'POST /dms': createDms } = dmsApi;
const { 'GET /health': readHealth } = statsApi;

const [folder = ''] = process.argv.slice(2);
const key = 'a-key';
const filler = path.join(folder, 'filler');
Object.assign(process.env, {
  ...{
    NODE_ENV: 'test',
    STORE: 'embedded',
    PUNCTUAL_DATA: path.join(folder, 'db'),
    API_KEY: key,
    LOG_LEVEL: 'silent',
  },
});

async function post(route: (request: Request) => Promise<Response>, body: object) {
  const headers = { authorization: `Bearer ${key}` };
  const response = await route(
    new Request('http://app.test/', { method: 'POST', headers, body: JSON.stringify(body) }),
  );
  return { status: response.status, body: await response.json() };
}

const commands = {
  async start() {
    const account = { provider: 'unipile', provider_account_id: 'ann', name: 'Ann' };
    return post(createAccount, account);
  },
  /** Sends 100 messages, 200 KB in all. The same batch is always the same messages. */
  async send({ account_id, batch }: { account_id: string; batch: number }) {
    const message = { account_id, channel: 'linkedin', body: 'x'.repeat(2_000) };
    const messages = Array.from({ length: 100 }, (_, n) => ({
      ...message,
      ...{ recipient: `r${n}`, idempotency_key: `${batch}/${n}` },
    }));
    return post(createDms, messages);
  },
  /** Fills the disk but for 8 MB: room for rows, and none for the next segment of the log. */
  async fill() {
    const file = openSync(filler, 'w');
    const { bavail, bsize } = statfsSync(folder);
    const block = Buffer.alloc(1024 * 1024);
    for (let left = bavail * bsize - 8 * block.length; left > 0; left -= block.length) writeSync(file, block);
    closeSync(file);
  },
  async free() {
    rmSync(filler);
  },
  async health() {
    const response = await readHealth();
    return { status: response.status, body: await response.json() };
  },
};

process.on('SIGTERM', () => process.send?.({ signal: 'SIGTERM' }));
process.on(
  'message',
  async ({ command, ...args }: { command: keyof typeof commands; account_id: string; batch: number }) => {
    process.send?.({ response: await commands[command](args) });
  },
);
