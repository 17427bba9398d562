import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

interface Page {
  items: { id: string }[];
  next: unknown[] | null;
}

/** Returns the ids of each page, and runs `between` after every page. */
async function readPages(
  fn: string,
  args: object,
  limit: number,
  between = async () => {},
): Promise<string[][]> {
  const pages: string[][] = [];
  let next: Page['next'] = null;
  do {
    const page = (await database.rpc(fn, { ...args, p_limit: limit, p_cursor: next })) as Page;
    pages.push(page.items.map(({ id }) => id));
    next = page.next;
    await between();
  } while (next && pages.length < 50);
  return pages;
}

const rows = (p_state: string) => ({ p_queue: 'dm_queue', p_state, p_now: sql.now });

/** Adds 7 rows of each state. Some share an instant, and some were settled without one. */
async function addRows(): Promise<void> {
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, status, finished_at, lease_expires_at, next_attempt_at, reconcile)
     select $1, 'linkedin', 'c', 'b', '2026-03-02T12:00:00.123456Z', s.status,
            case when n % 3 = 0 then null else timestamptz '2026-03-01T00:00:00.654321Z' + n / 3 * interval '1 microsecond' end,
            timestamptz '2026-03-02T12:01:00Z' + n / 2 * interval '1 second',
            case when n % 2 = 0 then timestamptz '2026-03-03T00:00:00Z' end,
            jsonb_build_object('waits_for_operator', n % 2 = 0, 'over_at', '2026-03-01T00:00:00Z')
       from unnest('{pending, sending, sent, failed, unknown, cancelled}'::text[]) s (status) cross join generate_series(0, 6) n`,
    [account],
  );
}

describe('the pages of rows', () => {
  it.each(['pending', 'sending', 'sent', 'failed', 'unknown', 'cancelled'])(
    'show every %s row once, in the order of one long page',
    async (state) => {
      await addRows();
      const [all = []] = await readPages('list_rows', rows(state), 200);
      expect(all).toHaveLength(7);
      for (const limit of [1, 2, 3, 7]) {
        const pages = await readPages('list_rows', rows(state), limit);
        expect(pages.flat(), `${limit} a page`).toEqual(all);
        expect(pages).toHaveLength(Math.ceil(7 / limit));
      }
    },
  );

  it('skip and repeat no row when others are added between pages', async () => {
    await addRows();
    const [all = []] = await readPages('list_rows', rows('sent'), 200);
    const seen = await readPages('list_rows', rows('sent'), 2, async () => {
      await database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at) values ($1, 'linkedin', 'c', 'b', 'sent', now())`,
        [account],
      );
    });
    expect(seen.flat().filter((id) => all.includes(id))).toEqual(all);
  });

  it('show rows without an instant last, each once', async () => {
    const [{ id }] = await database.sql(
      `insert into punctual.sequences (name, channel, created_at, updated_at) values ('s', 'linkedin', now(), now()) returning id`,
    );
    await database.sql(
      `insert into punctual.sequence_versions (sequence_id, version, steps, created_at) values ($1, 1, '[{"kind": "message", "body": "b"}]', now())`,
      [id],
    );
    await database.sql(
      `insert into punctual.enrolments (sequence_id, version, account_id, channel, recipient, time_zone, enrolled_at, next_step_at)
       select $1, 1, $2, 'linkedin', 'x' || n, 'UTC', now(), case when n % 2 = 0 then timestamptz '2026-03-02T12:00:00Z' + n / 4 * interval '1 hour' end
         from generate_series(1, 7) n`,
      [id, account],
    );
    const call = { p_queue: 'enrolments', p_state: 'pending', p_now: sql.now };
    const rank = await database.sql(
      'select id::text as id from punctual.enrolments order by next_step_at nulls last, id',
    );
    const all = rank.map((row) => String(row.id));
    for (const limit of [1, 2, 3, 7])
      expect((await readPages('list_rows', call, limit)).flat(), `${limit} a page`).toEqual(all);
  });

  it.each(['pending', 'sending', 'sent'])(
    'read few more %s rows than they show, however far on they are',
    async (state) => {
      await database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, send_at, lease_expires_at, finished_at)
         select $1, 'linkedin', 'c', 'b', $2, a.at, a.at, case when $2 = 'sent' then a.at end
           from generate_series(1, 3000) n
          cross join lateral (select timestamptz '2026-03-02T12:00:00Z' + n / 10 * interval '1 second' as at) a`,
        [account, state],
      );
      await database.sql('analyze punctual.dm_queue');
      const at = (await database.sql(`select '2026-03-02T12:02:30Z'::timestamptz::text as at`))[0].at;
      const reads =
        "(select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'punctual.dm_queue'::regclass)";
      const [page] = await database.sql(
        `with before as materialized (select ${reads} as reads),
         listed as materialized (select b.reads, punctual.list_rows('dm_queue', $1, 10, jsonb_build_array($2::text, '0')) as page from before b)
         select jsonb_array_length(l.page->'items') as items, ${reads} - l.reads as read from listed l`,
        [state, at],
      );
      expect(page.items).toBe(10);
      expect(Number(page.read)).toBeLessThan(100);
    },
  );

  it('refuse a cursor that is not one of their keys', async () => {
    const call = { ...rows('sent'), p_cursor: ["x'); drop table punctual.dm_queue; --", '1'] };
    await expect(database.rpc('list_rows', call)).rejects.toMatchObject({ code: '22007' });
  });
});

describe('other lists', () => {
  it('of accounts continue past the 1,000th, by name', async () => {
    await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', 'a' || n, 'Ann ' || n / 2 from generate_series(1, 1100) n`,
    );
    const pages = await readPages('list_accounts', {}, 200);
    expect(pages.map((page) => page.length)).toEqual([200, 200, 200, 200, 200, 101]);
    expect(new Set(pages.flat()).size).toBe(1_101);
  });

  it('of sequences, enrolments, replies, monitors and incidents each end with their last item', async () => {
    await database.sql(
      `insert into punctual.sequences (name, channel, created_at, updated_at) select 's' || n, 'linkedin', now(), now() from generate_series(1, 5) n`,
    );
    await database.sql(
      `insert into punctual.sequence_versions (sequence_id, version, steps, created_at) select id, 1, '[{"kind": "message", "body": "b"}]', now() from punctual.sequences`,
    );
    await database.sql(
      `insert into punctual.enrolments (sequence_id, version, account_id, channel, recipient, time_zone, enrolled_at) select id, 1, $1, 'linkedin', 'x', 'UTC', now() from punctual.sequences`,
      [account],
    );
    await sql.receive(
      Array.from({ length: 5 }, (_, n) => ({ kind: 'message', status: 'received', message_id: `m${n}` })),
    );
    await database.sql(
      `insert into punctual.monitors (name, url) select 'm' || n, 'https://x' from generate_series(1, 5) n`,
    );
    await database.sql(
      `insert into punctual.incidents (monitor_id, started_at, opened_at, regions) select id, now(), now(), '{}' from punctual.monitors`,
    );
    for (const fn of [
      'list_sequences',
      'list_enrolments',
      'list_replies',
      'list_monitors',
      'list_incidents',
    ]) {
      const [all = []] = await readPages(fn, {}, 200);
      expect(all, fn).toHaveLength(5);
      expect(await readPages(fn, {}, 2), fn).toEqual([all.slice(0, 2), all.slice(2, 4), all.slice(4)]);
      expect(await readPages(fn, {}, 5), fn).toEqual([all]);
    }
  });
});
