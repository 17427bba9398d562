import { beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
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
async function readPages(args: object, p_limit: number, between = async () => {}): Promise<string[][]> {
  const pages: string[][] = [];
  let p_cursor: Page['next'] = null;
  do {
    const page = (await database.rpc('list_rows', { ...args, p_limit, p_cursor })) as Page;
    pages.push(page.items.map(({ id }) => id));
    p_cursor = page.next;
    await between();
  } while (p_cursor && pages.length < 50);
  return pages;
}

const rows = (state: string, p_queue = 'dm_queue') => ({
  p_queue,
  p_filter: { status: [state] },
  p_now: sql.now,
});
const states = ['pending', 'sending', 'sent', 'failed', 'unknown', 'cancelled'];
/** Adds 7 rows of each state. Some share an instant, and some were settled without one. */
const addRows = () =>
  database.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, status, finished_at, lease_expires_at, next_attempt_at, reconcile)
     select $1, 'linkedin', 'c', 'b', '2026-03-02T12:00:00.123456Z', s.status,
            case when n % 3 = 0 then null else timestamptz '2026-03-01T00:00:00.654321Z' + n / 3 * interval '1 microsecond' end,
            timestamptz '2026-03-02T12:01:00Z' + n / 2 * interval '1 second',
            case when n % 2 = 0 then timestamptz '2026-03-03T00:00:00Z' end,
            jsonb_build_object('waits_for_operator', n % 2 = 0, 'over_at', '2026-03-01T00:00:00Z')
       from unnest($2::text[]) s (status) cross join generate_series(0, 6) n`,
    [account, states],
  );

describe('the pages of rows', () => {
  it.each(states)('show every %s row once, in the order of one long page', async (state) => {
    await addRows();
    const [all = []] = await readPages(rows(state), 200);
    expect(all).toHaveLength(7);
    for (const limit of [1, 2, 3, 7]) {
      const pages = await readPages(rows(state), limit);
      expect(pages.flat(), `${limit} a page`).toEqual(all);
      expect(pages).toHaveLength(Math.ceil(7 / limit));
    }
  });

  it('skip and repeat no row when others are added between pages', async () => {
    await addRows();
    const [all = []] = await readPages(rows('sent'), 200);
    const seen = await readPages(rows('sent'), 2, async () => {
      await sql.addDm(account, { status: 'sent', finished_at: sql.now });
    });
    expect(seen.flat().filter((id) => all.includes(id))).toEqual(all);
  });

  it('show rows without an instant last, each once', async () => {
    const talk = conversations(database, sql);
    const people = Array.from({ length: 7 }, (_, n) => ({ account_id: account, recipient: `person ${n}` }));
    await talk.enrol(await talk.addSequence([{}]), people);
    await database.sql(
      `update punctual.enrolments set next_step_at = case when id % 2 = 0 then timestamptz '2026-03-02T12:00:00Z' + id / 4 * interval '1 hour' end`,
    );
    const ranked = await database.sql(
      'select id::text as id from punctual.enrolments order by next_step_at nulls last, id',
    );
    const all = ranked.map(({ id }) => String(id));
    for (const limit of [1, 2, 3, 7]) {
      const pages = await readPages(rows('pending', 'enrolments'), limit);
      expect(pages.flat(), `${limit} a page`).toEqual(all);
    }
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
         listed as materialized (
           select b.reads, punctual.list_rows('dm_queue', jsonb_build_object('status', jsonb_build_array($1::text)), null, 10, jsonb_build_array($3::text, $2::text, '0')) as page
             from before b)
         select jsonb_array_length(l.page->'items') as items, ${reads} - l.reads as read from listed l`,
        [state, at, state === 'sent' ? 'settled' : state === 'sending' ? 'running' : state],
      );
      expect(page.items).toBe(10);
      expect(Number(page.read)).toBeLessThan(100);
    },
  );

  it('refuse a cursor that is not one of their keys', async () => {
    const call = { ...rows('sent'), p_cursor: ['settled', "x'); drop table punctual.dm_queue; --", '1'] };
    await expect(database.rpc('list_rows', call)).rejects.toMatchObject({ code: '22007' });
  });
});
