import { describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** A tick whose calls may take 0 ms, so each loop runs one round. */
const hurriedTick = () => sql.tick({ call_ms: 0 });

/** Calls another function, which may take 0 ms, and returns its value. */
async function hurried(call: string, params: unknown[] = []) {
  const [{ answer }] = await database.sql(
    `select punctual.${call} as answer from (select set_config('punctual.call_ms', '0', true) offset 0) hurry`,
    params,
  );
  return answer;
}

const count = async (from: string): Promise<number> =>
  (await database.sql(`select count(*)::integer as n from ${from}`))[0].n;

async function addAccounts(total: number): Promise<void> {
  await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name)
     select 'unipile', 'many-' || n, 'many' from generate_series(1, $1::integer) n`,
    [total],
  );
}
const addDmForEach = (text = 'x', changes = 'null::timestamptz') =>
  database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, expires_at)
     select id, 'linkedin', 'c', $2, $1, ${changes} from punctual.accounts`,
    [sql.at(-60), text],
  );

describe('a call whose time is over', () => {
  const awake = `punctual.pace where queue = 'dm_queue' and ready_at is not null`;

  it('wakes 1,000 accounts, leaves the rest to the next call, and keeps the tick open', async () => {
    await addAccounts(2_500);
    await addDmForEach();
    // The call has to find the accounts by their rows.
    await database.sql('delete from punctual.pace');
    const tick = hurriedTick();
    const woken: unknown[] = [];
    for (let n = 0; n < 4; n++) {
      const { rows, closed } = await tick.exchange({ want: 1, close: true });
      woken.push([await count(awake), rows.length, closed]);
    }
    expect(woken).toEqual([
      [1_000, 1, false],
      [2_000, 1, false],
      [2_500, 1, false],
      [2_500, 1, false],
    ]);
  });

  it('still claims 50 rows after it has woken accounts', async () => {
    await addAccounts(1_000);
    await addDmForEach();
    await database.sql('update punctual.queues set batch_limit = null');
    const tick = hurriedTick();
    expect((await tick.claim(120)).rows).toHaveLength(50);
    expect((await tick.claim(120)).rows).toHaveLength(120);
  });

  it('searches 1,000 accounts for work, and the next tick continues after them', async () => {
    await addAccounts(2_500);
    const [last] = await database.sql('select id from punctual.accounts order by id desc limit 1');
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
       select $1, 'linkedin', 'c', 'x', $2 from generate_series(1, 1000)`,
      [last.id, sql.at(-60)],
    );
    const claimed: number[] = [];
    for (let n = 0; n < 4; n++) {
      const tick = hurriedTick();
      claimed.push((await tick.claim(1)).rows.length);
      await tick.close();
    }
    expect(claimed).toEqual([0, 0, 1, 0]);
  });

  it('judges 100 accounts more than the rows it wants, and the next call continues', async () => {
    await addAccounts(250);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01'`);
    const tick = hurriedTick();
    const left: unknown[] = [];
    for (let n = 0; n < 4; n++) {
      const { closed } = await tick.exchange({ want: 5, close: true });
      left.push([await count(awake), closed]);
    }
    expect(left).toEqual([
      [145, false],
      [40, false],
      [0, false],
      [0, true],
    ]);
  });

  it('sweeps 50 rows of dead ticks, and the next call sweeps more', async () => {
    await addAccounts(120);
    await addDmForEach();
    await database.sql('update punctual.queues set batch_limit = null');
    await sql.tick({ limit_seconds: 1 }).claim(200);
    sql.pass(3_600);
    const tick = hurriedTick();
    const swept = [];
    for (let n = 0; n < 4; n++) swept.push((await tick.claim(1)).swept);
    expect(swept).toEqual([50, 50, 20, 0]);
    expect(await count(`punctual.dm_queue where status = 'unknown'`)).toBe(120);
  });

  it('expires 50 rows, and the next call expires more', async () => {
    await addAccounts(120);
    await addDmForEach('late', `'${sql.at(-1)}'::timestamptz`);
    const tick = hurriedTick();
    const expired = [];
    for (let n = 0; n < 3; n++) {
      await tick.claim(1);
      expired.push(await count(`punctual.dm_queue where status = 'failed'`));
    }
    expect(expired).toEqual([50, 100, 120]);
  });

  it('applies one receipt, and the next tick applies the next', async () => {
    const receipts = [];
    for (let n = 0; n < 3; n++) {
      const account = await sql.addAccount({ provider: 'whatsapp_cloud' });
      const { id, claim_id } = await sql.addUnknown(account, {
        channel: 'whatsapp',
        recipient: '49',
        chat_id: null,
      });
      receipts.push({
        kind: 'status',
        status: 'delivered',
        message_id: `m${n}`,
        reference: `dm_queue/${id}/${claim_id}`,
      });
    }
    await sql.receive(receipts);
    const sent: number[] = [];
    for (let n = 0; n < 3; n++) {
      const tick = hurriedTick();
      await tick.claim(1);
      await tick.close();
      sent.push(await count(`punctual.dm_queue where status = 'sent'`));
    }
    expect(sent).toEqual([1, 2, 3]);
  });

  it('judges one finding, and the other rows are checked again', async () => {
    for (let n = 0; n < 3; n++) await sql.addUnknown(await sql.addAccount());
    sql.pass(3_600);
    const checks = await sql.takeUnknown();
    expect(checks).toHaveLength(3);
    const findings = checks.map((one) => finding(one));
    expect(await sql.settleFindings(findings, 'dm_queue', 0)).toMatchObject({ checked: 1 });
    sql.pass(3_600);
    expect(await sql.takeUnknown()).toHaveLength(3);
  });

  it('postpones 50 messages whose sending hours are over, and the next tick postpones more', async () => {
    await addAccounts(120);
    await addDmForEach();
    await database.sql('update punctual.dm_queue set open_until = $1', [sql.at(-1)]);
    const closed: number[] = [];
    for (let n = 0; n < 3; n++) {
      const tick = hurriedTick();
      await tick.exchange({ want: 0 });
      await tick.close();
      closed.push(await count('punctual.dm_queue where open_until is not null'));
    }
    expect(closed).toEqual([70, 20, 0]);
  });

  it('judges 50 held messages, and the next tick judges more', async () => {
    await addAccounts(120);
    await addDmForEach();
    await database.sql(
      `insert into punctual.held_rows (queue, row_id) select 'dm_queue', id::text from punctual.dm_queue`,
    );
    const held: number[] = [];
    for (let n = 0; n < 3; n++) {
      const tick = hurriedTick();
      await tick.exchange({ want: 200 });
      held.push(await count('punctual.held_rows'));
      // No claim takes a held message before it is judged.
      expect(
        await count(
          `punctual.dm_queue d join punctual.held_rows h on h.row_id = d.id::text where d.status = 'sending'`,
        ),
      ).toBe(0);
      await tick.exchange({ close: true });
      sql.pass(61);
    }
    expect(held).toEqual([70, 20, 0]);
    expect(await count(`punctual.dm_queue where attempts > 0`)).toBeGreaterThan(50);
  });

  it('returns the due partitions that it has found so far', async () => {
    await database.sql(
      `insert into punctual.partitions (queue, partition) values ('jobs', 'a'), ('jobs', 'b'), ('jobs', 'c')`,
    );
    await database.sql(
      `insert into punctual.jobs (queue, name, payload, run_at) select q, 'x', '{}', $1 from unnest('{a,b,c}'::text[]) q`,
      [sql.at(-1)],
    );
    const list = () => hurried(`list_due_partitions('jobs', null, $1)`, [sql.now]);
    expect(await list()).toMatchObject([{ partition: 'a' }]);
    await database.sql(`update punctual.partitions set last_tick_at = $1 where partition = 'a'`, [sql.now]);
    expect(await list()).toMatchObject([{ partition: 'b' }]);
  });

  it('prunes one queue, and the next call continues until the last', async () => {
    const account = await sql.addAccount();
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, status, finished_at)
       values ($1, 'linkedin', 'c', 'x', '2020-01-01', 'sent', '2020-01-01')`,
      [account],
    );
    await database.sql(
      `insert into punctual.posts (account_id, body, scheduled_for, status, finished_at)
       values ($1, 'x', '2020-01-01', 'published', '2020-01-01')`,
      [account],
    );
    await database.sql(
      `insert into punctual.receipts (provider, kind, status, message_id, received_at) values ('unipile', 'message', 'sent', 'm', '2020-01-01')`,
    );
    const prune = () => hurried(`prune(1000, $1)`, [sql.now]);
    expect(await prune()).toMatchObject({ rows: 1, receipts: 0, more: true });
    expect(await prune()).toMatchObject({ rows: 1, receipts: 1, more: false });
  });
});
