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
const key = 'welcome-42';
const refused = { code: 'PT409' };
const prune = () => database.rpc('prune', { p_now: sql.now });
const insert = (table: string, row: object) =>
  database.sql(
    `insert into punctual.${table} (${Object.keys(row)}) values (${Object.keys(row).map((_, n) => `$${n + 1}`)})`,
    Object.values(row),
  );

describe.each([
  ['dm_queue', 'sent', 'enqueue_dms', { channel: 'linkedin', chat_id: 'c', body: 'hi' }],
  ['posts', 'published', 'enqueue_posts', { body: 'hi' }],
])('a key of a pruned row of %s', (queue, done, fn, content) => {
  const enqueue = async (...keys: string[]) => {
    const p_rows = keys.map((idempotency_key) => ({ account_id: account, ...content, idempotency_key }));
    return ((await database.rpc(fn, { p_rows, p_now: sql.now })) as { rows: { id: string }[] }).rows;
  };
  let id: string | undefined;
  beforeEach(async () => {
    id = (await enqueue(key))[0]?.id;
    await database.sql(`update punctual.${queue} set status = '${done}', finished_at = $1`, [sql.now]);
    sql.pass(40 * day);
    await prune();
    expect(await database.sql(`select from punctual.${queue}`)).toEqual([]);
  });

  it('creates no row for 90 days, and answers the pruned row’s id and status', async () => {
    const spent = { id, status: done, created: false };
    expect(await enqueue('other', key)).toMatchObject([{ created: true }, spent]);
    const keys = await database.sql(`select idempotency_key from punctual.${queue}`);
    expect(keys).toEqual([{ idempotency_key: 'other' }]);
    sql.pass(89 * day);
    await prune();
    expect(await enqueue(key)).toMatchObject([spent]);
    sql.pass(2 * day);
    await prune();
    expect(await enqueue(key)).toMatchObject([{ created: true }]);
  });

  it('is refused in a plain insert', async () => {
    const row = { account_id: account, idempotency_key: key, ...content };
    await expect(insert(queue, row)).rejects.toMatchObject(refused);
  });
});

it('a role with only the grants of docs/deploy.md cannot insert a row with a pruned row’s key', async () => {
  const page = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
  const [, grants = ''] = /```sql\n(grant usage on schema punctual to my_app[\s\S]*?)```/.exec(page) ?? [];
  await insert('spent_keys', { queue: 'dm_queue', key, row_id: '42', status: 'sent', spent_at: sql.now });
  const dm = { account_id: account, channel: 'whatsapp', recipient: '+15550100', body: 'hi' };
  await database.sql('begin');
  try {
    await database.sql('create role my_app');
    for (const { text } of splitStatements(grants)) await database.sql(text);
    await database.sql('set local role my_app');
    await insert('dm_queue', { ...dm, idempotency_key: 'another' });
    await expect(insert('dm_queue', { ...dm, idempotency_key: key })).rejects.toMatchObject(refused);
  } finally {
    await database.sql('rollback');
  }
});
