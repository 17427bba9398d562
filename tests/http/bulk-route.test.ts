import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as dmsApi } from '../../lib/api/dms.ts';
import { endpoints as jobsApi } from '../../lib/api/jobs.ts';
import { endpoints as monitorsApi } from '../../lib/api/monitors.ts';
import { endpoints as postsApi } from '../../lib/api/posts.ts';
import { endpoints as sequencesApi } from '../../lib/api/sequences.ts';
import { answered, apiRequest, withKey } from '../support/api-server.ts';
import { conversations } from '../support/conversations.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const { 'POST /dms': DMS } = dmsApi;
const { 'POST /jobs': JOBS } = jobsApi;
const { 'POST /monitors': MONITORS } = monitorsApi;
const { 'POST /posts': POSTS } = postsApi;
const { 'POST /sequences/:id/enrolments': ENROLMENTS } = sequencesApi;

// No server listens there, so no name resolves.
const database = servedDatabase({ MONITOR_DNS_SERVERS: '127.0.0.1:9' });
const sql = perTestExchanges(database);
let account: string;
let sequence: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
  sequence = await conversations(database, sql).addSequence([{ body: 'hello' }]);
});

const to = (n: number) => ({ account_id: account, recipient: `person ${n}` });

interface Kind {
  route: unknown;
  table: string;
  /** Returns a distinct row for each `n`, with a key if rows of this kind have one. */
  row: (n: number) => object;
  /** Changes that make a row differ from the one with its key; null if a key stands for any content. */
  other: object | null;
  wrong: [field: string, value: unknown];
}
const kinds: Record<string, Kind> = {
  messages: {
    route: DMS,
    table: 'dm_queue',
    row: (n) => ({ ...to(n), channel: 'linkedin', body: 'hello', idempotency_key: `${n}` }),
    other: { body: 'goodbye' },
    wrong: ['body', ''],
  },
  posts: {
    route: POSTS,
    table: 'posts',
    row: (n) => ({ account_id: account, body: `post ${n}`, idempotency_key: `${n}` }),
    other: { body: 'another' },
    wrong: ['priority', 4],
  },
  jobs: {
    route: JOBS,
    table: 'jobs',
    row: (n) => ({ name: 'count-words', payload: { text: `${n}` }, unique_key: `${n}` }),
    other: null,
    wrong: ['name', 'count-sheep'],
  },
  monitors: {
    route: MONITORS,
    table: 'monitors',
    row: (n) => ({ name: `site ${n}`, url: `https://192.0.43.8/${n}`, idempotency_key: `${n}` }),
    other: { name: 'another' },
    wrong: ['url', 'ftp://192.0.43.8/'],
  },
  'people in a sequence': {
    route: ENROLMENTS,
    table: 'enrolments',
    row: to,
    other: null,
    wrong: ['start_at', 'tomorrow'],
  },
};

type Route = (request: Request, context: object) => Promise<Response>;

describe.each(Object.entries(kinds))('%s, created in bulk', (_name, { route, table, row, other, wrong }) => {
  const send = (request: Request) =>
    answered((route as Route)(request, { params: Promise.resolve({ id: sequence }) }));
  const create = (body: unknown) => send(apiRequest('POST', '/api/x', undefined, JSON.stringify(body)));
  const count = async () => (await database.sql(`select count(*)::integer as n from punctual.${table}`))[0].n;
  const bad = { [wrong[0]]: wrong[1] };

  it('may be one or 1,000, and the response keeps their order', async () => {
    const one = await create(row(0));
    expect(one).toMatchObject({ status: 201, body: { rows: [{ created: true }] } });
    const rows = Array.from({ length: 1_000 }, (_, n) => row(n));
    const { status, body } = await create(rows);
    expect(status).toBe(201);
    const ids: string[] = body.rows.map(({ id }: { id: string }) => id);
    expect(ids[0]).toBe(one.body.rows[0].id);
    expect(new Set(ids).size).toBe(1_000);
    const again = await create(rows.toReversed());
    expect(again.status).toBe(200);
    expect(again.body.rows.map(({ id }: { id: string }) => id)).toEqual(ids.toReversed());
    expect(await count()).toBe(1_000);
  }, 20_000);

  it.each([0, 1_001])('are refused as a whole if there are %i', async (length) => {
    const { status, body } = await create(Array.from({ length }, (_, n) => row(n)));
    expect({ status, kind: body.error.kind }).toEqual({ status: 422, kind: 'invalid' });
    expect(body.error.message).toMatch(
      /^(nothing|nobody) was .*; correct these fields and send all rows again$/,
    );
    expect(body.error.errors).toEqual([
      { index: null, field: '', message: expect.stringContaining(`this has ${length}`) },
    ]);
    expect(await count()).toBe(0);
  });

  it('are all created or none is, and each invalid one is named', async () => {
    const { status, body } = await create([row(0), { ...row(1), ...bad }, row(2), 'hello']);
    expect(status).toBe(422);
    expect(body.error.errors).toMatchObject([
      { index: 1, field: wrong[0], message: expect.stringMatching(/\w/) },
      { index: 3, field: '' },
    ]);
    expect(await count()).toBe(0);
  });

  it('are created once if one is given twice in a call', async () => {
    const { body } = await create([row(1), row(2), row(1)]);
    const [first, , third] = body.rows;
    expect(third.id).toBe(first.id);
    expect(await count()).toBe(2);
  });

  if (!other) return;
  it('are refused if another row has the key', async () => {
    await create(row(1));
    const { status, body } = await create([row(2), { ...row(1), ...other }]);
    expect(status).toBe(422);
    expect(body.error.errors).toMatchObject([{ index: 1, field: 'idempotency_key' }]);
    expect(await count()).toBe(1);
  });
});

it('a body above 32 MB is refused by its bytes, even if no length was announced', async () => {
  const chunk = new Uint8Array(1024 * 1024).fill(0x20);
  let pulled = 0;
  const body = new ReadableStream({
    pull(controller) {
      pulled++;
      controller.enqueue(chunk);
    },
  });
  const init = { method: 'POST', headers: withKey, body, duplex: 'half' };
  const response = await DMS(new Request('http://app.test/api/dms', init as RequestInit));
  expect([response.status, (await response.json()).error.kind]).toEqual([413, 'too_large']);
  expect(pulled).toBeLessThan(40);
});
