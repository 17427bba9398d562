import { describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** A tick whose calls may take 0 ms, so each loop runs one round. */
const hurriedTick = () => sql.tick({ call_ms: 0 });

/** Calls another function, which may take 0 ms, and returns its value. */
async function hurried(call: string) {
  const [{ answer }] = await database.sql(
    `select punctual.${call} as answer from (select set_config('punctual.call_ms', '0', true) offset 0) hurry`,
    [sql.now],
  );
  return answer;
}

const count = async (from: string): Promise<number> =>
  (await database.sql(`select count(*)::integer as n from punctual.${from}`))[0].n;

/** Returns what `step` returns each time. */
async function repeat<T>(times: number, step: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  while (results.length < times) results.push(await step());
  return results;
}

const addAccounts = (total: number) =>
  database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name)
     select 'unipile', 'many-' || n, 'many' from generate_series(1, $1::integer) n`,
    [total],
  );

/** Adds accounts, each with a due message. */
async function addDms(total: number, expiresAt: string | null = null): Promise<void> {
  await addAccounts(total);
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, expires_at)
     select id, 'linkedin', 'c', 'x', $1, $2 from punctual.accounts`,
    [sql.at(-60), expiresAt],
  );
  await database.sql('update punctual.queues set batch_limit = null');
}

describe('a call whose time is over', () => {
  const awake = `pace where queue = 'dm_queue' and ready_at is not null`;

  it('wakes 1,000 accounts, leaves the rest to the next call, and keeps the tick open', async () => {
    await addDms(2_500);
    // The call has to find the accounts by their rows.
    await database.sql('delete from punctual.pace');
    const tick = hurriedTick();
    const woken = await repeat(4, async () => {
      const { rows, closed } = await tick.exchange({ want: 1, close: true });
      return [await count(awake), rows.length, closed];
    });
    expect(woken).toEqual([1_000, 2_000, 2_500, 2_500].map((awake) => [awake, 1, false]));
  });

  it('still claims 50 rows after it has woken accounts', async () => {
    await addDms(1_000);
    const tick = hurriedTick();
    expect(await repeat(2, async () => (await tick.claim(120)).rows.length)).toEqual([50, 120]);
  });

  it('searches 1,000 accounts for work, and the next tick continues after them', async () => {
    await addAccounts(2_500);
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
       select (select max(id::text)::uuid from punctual.accounts), 'linkedin', 'c', 'x', $1 from generate_series(1, 1000)`,
      [sql.at(-60)],
    );
    const claimed = await repeat(4, async () => {
      const tick = hurriedTick();
      const { rows } = await tick.claim(1);
      await tick.close();
      return rows.length;
    });
    expect(claimed).toEqual([0, 0, 1, 0]);
  });

  it('judges 100 accounts more than the rows it wants, and the next call continues', async () => {
    await addAccounts(250);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01'`);
    const tick = hurriedTick();
    const left = await repeat(4, async () => {
      const { closed } = await tick.exchange({ want: 5, close: true });
      return [await count(awake), closed];
    });
    expect(left).toEqual([
      [145, false],
      [40, false],
      [0, false],
      [0, true],
    ]);
  });

  it('sweeps 50 rows of dead ticks, and the next call sweeps more', async () => {
    await addDms(120);
    await sql.tick({ limit_seconds: 1 }).claim(200);
    sql.pass(3_600);
    const tick = hurriedTick();
    expect(await repeat(4, async () => (await tick.claim(1)).swept)).toEqual([50, 50, 20, 0]);
    expect(await count(`dm_queue where status = 'unknown'`)).toBe(120);
  });

  it('expires 50 rows, and the next call expires more', async () => {
    await addDms(120, sql.at(-1));
    const tick = hurriedTick();
    const expired = await repeat(3, async () => {
      await tick.claim(1);
      return count(`dm_queue where status = 'failed'`);
    });
    expect(expired).toEqual([50, 100, 120]);
  });

  it('applies one receipt, and the next tick applies the next', async () => {
    const receipts = await repeat(3, async () => {
      const account = await sql.addAccount({ provider: 'whatsapp_cloud' });
      const to = { channel: 'whatsapp', recipient: '49', chat_id: null };
      const { id, claim_id } = await sql.addUnknown(account, to);
      const reference = `dm_queue/${id}/${claim_id}`;
      return { kind: 'status', status: 'delivered', message_id: `m${id}`, reference };
    });
    await sql.receive(receipts);
    const sent = await repeat(3, async () => {
      const tick = hurriedTick();
      await tick.claim(1);
      await tick.close();
      return count(`dm_queue where status = 'sent'`);
    });
    expect(sent).toEqual([1, 2, 3]);
  });

  it('applies all receipts of the rows that it settles, because they prove that these are not unknown', async () => {
    await repeat(3, async () => {
      const account = await sql.addAccount({ provider: 'whatsapp_cloud' });
      return sql.addDm(account, { channel: 'whatsapp', recipient: '49', chat_id: null });
    });
    const tick = hurriedTick();
    const { rows, claimId } = await tick.claim(3);
    expect(rows).toHaveLength(3);
    await sql.receive(
      rows.map(({ id }) => ({
        kind: 'status',
        status: 'delivered',
        message_id: `m${id}`,
        reference: `dm_queue/${id}/${claimId}`,
      })),
    );
    await tick.settle(rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'unknown', error: 'cut' })));
    expect(await count(`dm_queue where status = 'sent'`)).toBe(3);
  });

  it('judges one finding, and the other rows are checked again', async () => {
    for (let n = 0; n < 3; n++) await sql.addUnknown(await sql.addAccount());
    sql.pass(3_600);
    const findings = (await sql.takeUnknown()).map((row) => finding(row));
    expect(await sql.settleFindings(findings, 'dm_queue', 0)).toMatchObject({ checked: 1 });
    sql.pass(3_600);
    expect(await sql.takeUnknown()).toHaveLength(3);
  });

  it('postpones 50 messages whose sending hours are over, and the next tick postpones more', async () => {
    await addDms(120);
    await database.sql('update punctual.dm_queue set open_until = $1', [sql.at(-1)]);
    const left = await repeat(3, async () => {
      await hurriedTick().close();
      return count('dm_queue where open_until is not null');
    });
    expect(left).toEqual([70, 20, 0]);
  });

  it('judges 50 held messages, and the next tick judges more, and no claim takes one before it is judged', async () => {
    await addDms(120);
    await database.sql(
      `insert into punctual.held_rows (queue, row_id) select 'dm_queue', id::text from punctual.dm_queue`,
    );
    const held = await repeat(3, async () => {
      const tick = hurriedTick();
      await tick.claim(200);
      const claimed = await count(
        `dm_queue d join punctual.held_rows h on h.row_id = d.id::text where d.status = 'sending'`,
      );
      await tick.close();
      sql.pass(61);
      return [await count('held_rows'), claimed];
    });
    expect(held).toEqual([
      [70, 0],
      [20, 0],
      [0, 0],
    ]);
    expect(await count('dm_queue where attempts > 0')).toBeGreaterThan(50);
  });

  it('returns the due partitions that it has found so far', async () => {
    await database.sql(
      `insert into punctual.partitions (queue, partition) values ('jobs', 'a'), ('jobs', 'b')`,
    );
    await database.sql(
      `insert into punctual.jobs (queue, name, payload, run_at) select q, 'x', '{}', $1 from unnest('{a,b}'::text[]) q`,
      [sql.at(-1)],
    );
    const list = () => hurried(`list_due_partitions('jobs', null, $1)`);
    expect(await list()).toMatchObject([{ partition: 'a' }]);
    await database.sql(`update punctual.partitions set last_tick_at = $1 where partition = 'a'`, [sql.now]);
    expect(await list()).toMatchObject([{ partition: 'b' }]);
  });

  it('prunes one queue, and the next call continues until the last', async () => {
    const account = await sql.addAccount();
    const old = '2020-01-01';
    await sql.addDm(account, { send_at: old, status: 'sent', finished_at: old });
    await database.sql(
      `insert into punctual.posts (account_id, body, scheduled_for, status, finished_at) values ($1, 'x', $2, 'published', $2)`,
      [account, old],
    );
    await database.sql(
      `insert into punctual.receipts (provider, kind, status, message_id, received_at) values ('unipile', 'message', 'sent', 'm', $1)`,
      [old],
    );
    expect(await repeat(2, () => hurried('prune(1000, $1)'))).toMatchObject([
      { rows: 1, receipts: 0, more: true },
      { rows: 1, receipts: 1, more: false },
    ]);
  });
});
