import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as postsApi } from '../../../lib/api/posts.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { answered, apiRequest, cookie, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const {
  'DELETE /posts/:id': DELETE,
  'GET /posts/:id': GET_ONE,
  'PATCH /posts/:id': PATCH,
  'GET /posts': GET,
  'POST /posts': POST,
} = postsApi;

const database = servedDatabase({ MEDIA_ALLOW_PRIVATE: '127.0.0.1:4321' });
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});

const request = (method: string, path: string, body?: unknown, headers = withKey) =>
  apiRequest(method, `/api/posts${path}`, headers, JSON.stringify(body));
const create = (body: unknown) => answered(POST(request('POST', '', body)));
const list = (query: string) => answered(GET(request('GET', query)));
const one = (id: string) => ({ params: Promise.resolve({ id }) });
const read = (id: string) => answered(GET_ONE(request('GET', `/${id}`), one(id)));
const edit = (id: string, body: unknown) => answered(PATCH(request('PATCH', `/${id}`, body), one(id)));
const cancel = (id: string, headers = withKey) =>
  answered(DELETE(request('DELETE', `/${id}`, undefined, headers), one(id)));

const post = (changes: object = {}) => ({ account_id: account, body: 'hello', ...changes });
async function add(changes: object = {}): Promise<string> {
  const { status, body } = await create(post(changes));
  expect(status).toBe(201);
  return body.rows[0].id;
}
/** Claims the due posts, and settles them with `outcome` unless it is null. */
async function attempt(outcome: string | null) {
  sql.setNow(new Date().toISOString());
  const tick = sql.tick({ queue: 'posts' });
  const { rows, claimId: claim_id } = await tick.claim();
  if (outcome) await tick.settle(rows.map(({ id }) => ({ id, claim_id, outcome, error: 'e' })));
  await tick.close();
}

describe('POST /api/posts', () => {
  it('stores a post as it was sent', async () => {
    const full = {
      media_urls: ['https://example.com/a.png?token=1', 'http://127.0.0.1:4321/b.mp4'],
      scheduled_for: '2027-07-01T09:30:00+02:00',
      priority: 0,
      expires_at: '2027-07-02T00:00:00Z',
      idempotency_key: 'order 7',
    };
    const { status, body } = await create([post(full), post()]);
    expect(status).toBe(201);
    expect(body.rows).toMatchObject([{ status: 'scheduled', created: true }, { created: true }]);
    expect((await read(body.rows[0].id)).body).toEqual({
      id: body.rows[0].id,
      account_id: account,
      status: 'scheduled',
      body: 'hello',
      media_urls: full.media_urls,
      scheduled_for: '2027-07-01T07:30:00+00:00',
      published_at: null,
      provider_post_id: null,
      permalink: null,
      priority: 0,
      expires_at: '2027-07-02T00:00:00+00:00',
      attempts: 0,
      last_error: null,
      created_at: expect.stringMatching(/^\d{4}-/),
      finished_at: null,
    });
  });

  const unfetchable = /^cannot be fetched: /;
  it.each<[name: string, changes: object, field: string, says?: RegExp]>([
    ['an unknown account', { account_id: '00000000-0000-4000-8000-000000000000' }, 'account_id'],
    ['a body of white space', { body: ' \n\t' }, 'body', /^is empty$/],
    ['a body that is too long', { body: 'x'.repeat(3_001) }, 'body'],
    ['media that are not a list', { media_urls: 'https://example.com/a.png' }, 'media_urls'],
    ['too many media', { media_urls: Array(21).fill('https://example.com/a.png') }, 'media_urls'],
    ['no URL', { media_urls: ['https://example.com/a.png', 'a.png'] }, 'media_urls.1', /not a valid URL/],
    ['media by another protocol', { media_urls: ['ftp://example.com/a.png'] }, 'media_urls.0', unfetchable],
    ['media with credentials', { media_urls: ['https://a:b@example.com/a'] }, 'media_urls.0', unfetchable],
    ['media at this machine', { media_urls: ['http://127.0.0.1:4322/a'] }, 'media_urls.0', unfetchable],
    ['a time in words', { scheduled_for: 'tomorrow' }, 'scheduled_for'],
    ['an unknown field', { chat_id: 'x' }, 'chat_id'],
  ])('refuses %s, and stores none of the others', async (_name, changes, field, says = /\w/) => {
    const { status, body } = await create([post(), post(changes)]);
    expect({ status, kind: body.error.kind }).toEqual({ status: 422, kind: 'invalid' });
    expect(body.error.errors).toMatchObject([{ index: 1, field, message: expect.stringMatching(says) }]);
    expect(await database.sql('select id from punctual.posts')).toEqual([]);
  });

  it('refuses an account that cannot publish posts, and names its provider', async () => {
    const account_id = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const message = 'posts go out over unipile, and this account is of whatsapp_cloud';
    expect((await create(post({ account_id }))).body.error.errors).toEqual([
      { index: 0, field: 'account_id', message },
    ]);
  });
});

it('GET /api/posts lists posts by status, under the queue’s own words', async () => {
  const scheduled = await add({ scheduled_for: '2027-01-01T00:00:00Z' });
  const cancelled = await add();
  await cancel(cancelled);
  for (const [word, id] of Object.entries({ scheduled, cancelled })) {
    const row = { id, status: word, account: { name: 'Ann' }, row: { body: 'hello' } };
    expect(await list(`?status=${word}`)).toMatchObject({ status: 200, body: { rows: [row], next: null } });
  }
  expect((await list('?status=published')).body).toEqual({ rows: [], next: null });
});

describe('PATCH /api/posts/:id', () => {
  it('changes the named fields, and returns the post', async () => {
    const id = await add({ expires_at: '2027-01-02T00:00:00Z' });
    const changes = { body: 'better', media_urls: ['https://example.com/a.png'] };
    const { status, body } = await edit(id, changes);
    expect(status).toBe(200);
    const expires_at = '2027-01-02T00:00:00+00:00';
    expect(body).toMatchObject({ id, ...changes, expires_at, status: 'scheduled' });
    const more = { expires_at: null, scheduled_for: '2027-01-01T01:00:00+01:00', priority: 3 };
    const edited = { ...body, ...more, scheduled_for: '2027-01-01T00:00:00+00:00' };
    expect((await edit(id, more)).body).toEqual(edited);
    expect((await read(id)).body).toEqual(edited);
  });

  it.each<[name: string, changes: unknown, field: string]>([
    ['an empty object', {}, ''],
    ['an array', [1], ''],
    ['an empty body', { body: '' }, 'body'],
    ['private media', { media_urls: ['http://10.0.0.1/a.png'] }, 'media_urls.0'],
    ['another account', { account_id: 'x' }, 'account_id'],
  ])('refuses %s, and changes nothing', async (_name, changes, field) => {
    const id = await add();
    const before = await read(id);
    const errors = [{ field, message: expect.stringMatching(/\w/) }];
    expect(await edit(id, changes)).toMatchObject({ status: 422, body: { error: { errors } } });
    expect(await read(id)).toEqual(before);
  });
});

describe('an edit and a cancellation', () => {
  it('are accepted while the post is scheduled', async () => {
    const id = await add();
    await attempt('release');
    expect((await edit(id, { body: 'x' })).status).toBe(200);
    expect(await cancel(id)).toEqual({ status: 200, body: { id, status: 'cancelled' } });
    expect((await sql.history(id))[0]?.[1]).toMatch(/^the API decided: cancel it/);
    expect((await cancel(id)).body.error.message).toBe('the post is cancelled: schedule a new one');
  });

  it.each<[word: string, outcome: string | null, says: RegExp]>([
    ['publishing', null, /being sent to the provider/],
    ['published', 'done', /it is public and can no longer be changed/],
    ['failed', 'dead', /schedule a new one/],
    ['unknown', 'unknown', /decide with POST \/api\/queues\/posts\/rows\/<id>\/resolve/],
  ])('are refused with the reason once it is %s', async (word, outcome, says) => {
    const id = await add();
    await attempt(outcome);
    const before = await read(id);
    expect(before.body.status).toBe(word);
    for (const { status, body } of [await edit(id, { body: 'late' }), await cancel(id)]) {
      expect([status, body.error.kind]).toEqual([409, 'conflict']);
      expect(body.error.message).toMatch(new RegExp(`^the post is ${word}: .*${says.source}`));
    }
    expect(await read(id)).toEqual(before);
  });

  it('return 404 for an unknown post, as does a read', async () => {
    for (const id of ['1', '007', '9223372036854775808', 'x', '-1', '%00', 'a b', '1e3'])
      for (const { status, body } of [await edit(id, { body: 'x' }), await cancel(id), await read(id)])
        expect([id, status, body.error.kind]).toEqual([id, 404, 'not_found']);
  });

  it('name the dashboard’s user in the history', async () => {
    const id = await add();
    expect((await cancel(id, { ...cookie(), origin: 'http://app.test' })).status).toBe(200);
    expect((await sql.history(id))[0]?.[1]).toMatch(/^Mira decided/);
  });
});

it('MEDIA_ALLOW_PRIVATE is a list of hosts, and anything else is refused by its name', () => {
  const hostsOf = (value?: string) => serverEnv({ MEDIA_ALLOW_PRIVATE: value }).mediaAllowPrivate;
  for (const value of [undefined, '  ']) expect(hostsOf(value)).toEqual([]);
  const hosts = ['127.0.0.1:4010', 'media.internal', '[::1]:80'];
  expect(hostsOf('127.0.0.1:4010, media.internal ,[::1]:80,')).toEqual(hosts);
  for (const value of ['http://127.0.0.1', 'a/b', 'user@host', 'host:port', '127.0.0.1:99999'])
    expect(() => hostsOf(value), value).toThrow(/MEDIA_ALLOW_PRIVATE/);
});
