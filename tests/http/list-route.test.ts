import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as accountsApi } from '../../lib/api/accounts.ts';
import { endpoints as dmsApi } from '../../lib/api/dms.ts';
import { endpoints as monitorsApi } from '../../lib/api/monitors.ts';
import { endpoints as postsApi } from '../../lib/api/posts.ts';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { endpoints as sequencesApi } from '../../lib/api/sequences.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { conversations } from '../support/conversations.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const { 'GET /accounts': ACCOUNTS } = accountsApi;
const { 'GET /dms': DMS } = dmsApi;
const { 'GET /enrolments': ENROLMENTS, 'GET /replies': REPLIES, 'GET /sequences': SEQUENCES } = sequencesApi;
const { 'GET /incidents': INCIDENTS, 'GET /monitors': MONITORS } = monitorsApi;
const { 'GET /posts': POSTS } = postsApi;
const { 'GET /queues/:queue/rows': ROWS } = queuesApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});

const talk = () => conversations(database, sql);
const enrol = async (count: number) => {
  const people = Array.from({ length: count }, (_, n) => ({ account_id: account, recipient: `person ${n}` }));
  await talk().enrol(await talk().addSequence([{ body: 'hello' }]), people);
};
const addMonitors = (count: number) =>
  database.sql(
    `insert into punctual.monitors (name, url) select 'm' || n, 'https://x' from generate_series(1, $1::integer) n`,
    [count],
  );

const reply = { kind: 'message', status: 'received', said_at: '2026-03-02T12:00:00Z' };

interface List {
  route: unknown;
  /** The key of the items in the response. */
  name: string;
  /** A filter that every item matches. */
  query?: string;
  /** Adds as many items, of one instant if they are ordered by time. */
  add: (count: number) => Promise<unknown>;
}
const lists: Record<string, List> = {
  accounts: {
    route: ACCOUNTS,
    name: 'accounts',
    add: (count) =>
      database.sql(
        `insert into punctual.accounts (provider, provider_account_id, name) select 'unipile', n, 'Ann' from generate_series(2, $1::integer) n`,
        [count],
      ),
  },
  messages: {
    route: DMS,
    name: 'rows',
    query: 'status=pending&',
    add: (count) =>
      database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body) select $1, 'linkedin', 'c', 'b' from generate_series(1, $2::integer)`,
        [account, count],
      ),
  },
  posts: {
    route: POSTS,
    name: 'rows',
    query: 'status=pending&',
    add: (count) =>
      database.sql(
        `insert into punctual.posts (account_id, body) select $1, 'b' from generate_series(1, $2::integer)`,
        [account, count],
      ),
  },
  'rows of a queue': { route: ROWS, name: 'rows', query: 'status=pending&', add: enrol },
  enrolments: { route: ENROLMENTS, name: 'enrolments', query: 'phase=in_progress&', add: enrol },
  sequences: {
    route: SEQUENCES,
    name: 'sequences',
    add: async (count) => {
      for (let n = 0; n < count; n++) await talk().addSequence([{ body: 'hello' }], { name: `s${n}` });
    },
  },
  replies: {
    route: REPLIES,
    name: 'replies',
    add: (count) => sql.receive(Array.from({ length: count }, (_, n) => ({ ...reply, message_id: `m${n}` }))),
  },
  monitors: { route: MONITORS, name: 'monitors', add: addMonitors },
  incidents: {
    route: INCIDENTS,
    name: 'incidents',
    query: 'open=true&',
    add: async (count) => {
      await addMonitors(count);
      await database.sql(
        `insert into punctual.incidents (monitor_id, started_at, opened_at, regions) select id, now(), now(), '{}' from punctual.monitors`,
      );
    },
  },
};

type Route = (request: Request, context: object) => Promise<Response>;
const get = (route: unknown, query: string) => {
  const params = Promise.resolve(route === ROWS ? { queue: 'enrolments' } : {});
  return answered((route as Route)(apiRequest('GET', `/api/x?${query}`), { params }));
};

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe.each(Object.entries(lists))('the list of %s', (_name, { route, name, query = '', add }) => {
  const page = async (more: string) => {
    const { status, body } = await get(route, query + more);
    expect([status, body.error]).toEqual([200, undefined]);
    return { ids: body[name].map(({ id }: { id: string }) => id) as string[], next: body.next };
  };

  it('shows each item once, 50 a page by default and up to 200, and ends with `next` null', async () => {
    await add(51);
    const { ids: all, next: end } = await page('limit=200');
    expect([new Set(all).size, end]).toEqual([51, null]);
    const first = await page('');
    expect(first.ids).toEqual(all.slice(0, 50));
    expect(await page(`cursor=${first.next}`)).toEqual({ ids: all.slice(50), next: null });
    expect((await page('limit=51')).next).toBeNull();
  });

  it('refuses a limit that is not from 1 to 200', async () => {
    const errors = [{ field: 'limit', message: 'must be a whole number from 1 to 200' }];
    for (const limit of ['0', '201', '1.5', '-1', 'x', ''])
      expect(await get(route, `${query}limit=${limit}`), limit).toMatchObject({
        status: 400,
        body: { error: { kind: 'invalid', errors } },
      });
  });

  it('refuses a cursor of another list, and one that was changed', async () => {
    await add(2);
    const { next } = await page('limit=1');
    const [seal, ...key] = JSON.parse(Buffer.from(next, 'base64url').toString());
    const message = expect.stringContaining('with the same filters');
    const refused = { status: 400, body: { error: { errors: [{ field: 'cursor', message }] } } };
    for (const forged of [['another', ...key], null, [], [1, 2], [seal]])
      expect(await get(route, `${query}cursor=${encode(forged)}`), String(forged)).toMatchObject(refused);
    expect(await get(route, `${query}cursor=x`)).toMatchObject(refused);
    for (const forged of [
      key.slice(1),
      key.slice(0, -1),
      [...key, null],
      key.map(() => null),
      ['x', 'x'],
      ['\0'],
      ['9'.repeat(30)],
    ])
      if (JSON.stringify(forged) !== JSON.stringify(key))
        expect(await get(route, `${query}cursor=${encode([seal, ...forged])}`), String(forged)).toMatchObject(
          refused,
        );
  });
});

it('a cursor is refused if the filters are others', async () => {
  await lists.messages?.add(3);
  const { next } = (await get(DMS, 'status=pending&limit=1')).body;
  expect((await get(DMS, `status=pending&cursor=${next}`)).body.rows).toHaveLength(2);
  for (const status of ['sent', 'cancelled'])
    expect(await get(DMS, `status=${status}&cursor=${next}`)).toMatchObject({ status: 400 });
  expect(await get(POSTS, `status=pending&cursor=${next}`)).toMatchObject({ status: 400 });
});
