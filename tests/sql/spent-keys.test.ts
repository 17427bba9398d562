import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const day = 86_400;
const prune = () => database.rpc('prune', { p_now: sql.now });

describe.each([
  ['dm_queue', 'enqueue_dms', { channel: 'linkedin', chat_id: 'c', body: 'hi' }],
  ['posts', 'enqueue_posts', { body: 'hi' }],
])('a key of a pruned row of %s', (queue, fn, content) => {
  const enqueue = async (...keys: string[]) => {
    const p_rows = keys.map((idempotency_key) => ({ account_id: account, ...content, idempotency_key }));
    const { rows } = (await database.rpc(fn, { p_rows, p_now: sql.now })) as {
      rows: { id: string; status: string; created: boolean }[];
    };
    return rows;
  };
  const done = queue === 'posts' ? 'published' : 'sent';

  /** Adds a row with the key `welcome-42`, prunes it and returns its id. */
  async function pruneOne(): Promise<string> {
    const [row] = await enqueue('welcome-42');
    await database.sql(`update punctual.${queue} set status = '${done}', finished_at = $1`, [sql.now]);
    sql.pass(40 * day);
    await prune();
    expect(await database.sql(`select from punctual.${queue}`)).toEqual([]);
    return row?.id ?? '';
  }

  it('creates no row for 90 days, and answers the pruned row’s id and status', async () => {
    const id = await pruneOne();
    expect(await enqueue('other', 'welcome-42')).toMatchObject([
      { created: true },
      { id, status: done, created: false },
    ]);
    expect(await database.sql(`select idempotency_key from punctual.${queue}`)).toEqual([
      { idempotency_key: 'other' },
    ]);
    sql.pass(89 * day);
    await prune();
    expect(await enqueue('welcome-42')).toMatchObject([{ created: false }]);
    sql.pass(2 * day);
    await prune();
    expect(await enqueue('welcome-42')).toMatchObject([{ created: true }]);
  });

  it('is refused in a plain insert', async () => {
    await pruneOne();
    const columns = Object.keys(content);
    const insert = database.sql(
      `insert into punctual.${queue} (account_id, idempotency_key, ${columns}) values ($1, $2, ${columns.map((_, n) => `$${n + 3}`)})`,
      [account, 'welcome-42', ...Object.values(content)],
    );
    await expect(insert).rejects.toMatchObject({ code: 'PT409' });
  });
});

it('a role with only the grants of docs/deploy.md cannot insert a row with a pruned row’s key', async () => {
  const page = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
  const [, grants = ''] = /```sql\n(grant usage on schema punctual to my_app[\s\S]*?)```/.exec(page) ?? [];
  await database.sql(
    `insert into punctual.spent_keys (queue, key, row_id, status, spent_at) values ('dm_queue', 'welcome-42', '42', 'sent', now())`,
  );
  const insert = (key: string) =>
    database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body, idempotency_key) values ($1, 'whatsapp', '+15550100', 'hi', $2)`,
      [account, key],
    );
  await database.sql('begin');
  try {
    await database.sql('create role my_app');
    for (const { text } of splitStatements(grants)) await database.sql(text);
    await database.sql('set local role my_app');
    await insert('another');
    await expect(insert('welcome-42')).rejects.toMatchObject({ code: 'PT409' });
  } finally {
    await database.sql('rollback');
  }
});
