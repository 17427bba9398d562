import { beforeEach, describe, expect, it } from 'vitest';
import { DELETE, GET as GET_ONE, PATCH } from '../../../app/api/posts/[id]/route.ts';
import { GET, POST } from '../../../app/api/posts/route.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { answered, apiRequest, cookie, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const database = servedDatabase({ MEDIA_ALLOW_PRIVATE: '127.0.0.1:4321' });
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});

const request = (method: string, path: string, headers = withKey, body?: unknown) =>
  apiRequest(method, `/api/posts${path}`, headers, JSON.stringify(body));
const create = (body: unknown, headers = withKey) => answered(POST(request('POST', '', headers, body)));
const one = (id: string) => ({ params: Promise.resolve({ id }) });
const read = (id: string, headers = withKey) => answered(GET_ONE(request('GET', `/${id}`, headers), one(id)));
const edit = (id: string, body: unknown, headers = withKey) =>
  answered(PATCH(request('PATCH', `/${id}`, headers, body), one(id)));
const cancel = (id: string, headers = withKey) =>
  answered(DELETE(request('DELETE', `/${id}`, headers), one(id)));

const post = (changes: object = {}) => ({ account_id: account, body: 'hello', ...changes });
async function add(changes: object = {}): Promise<string> {
  const { status, body } = await create(post(changes));
  expect(status).toBe(201);
  return body.rows[0].id;
}
const count = async () => (await database.sql('select count(*)::integer as n from punctual.posts'))[0].n;
/** Claims the due posts, and settles them with `outcome` unless it is null. */
async function attempt(outcome: string | null, result?: object) {
  sql.setNow(new Date().toISOString());
  const tick = sql.tick({ queue: 'posts' });
  const { rows, claimId } = await tick.claim();
  const records = rows.map(({ id }) => ({
    id,
    claim_id: claimId,
    outcome: outcome ?? '',
    error: 'e',
    result,
  }));
  if (outcome) await tick.settle(records);
  await tick.close();
}

describe('POST /api/posts', () => {
  it('stores one post, or many, and returns 200 if all existed already', async () => {
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
    expect(await create(post(full))).toMatchObject({ status: 200, body: { rows: [{ created: false }] } });
  });

  it.each<[name: string, changes: object, field: string]>([
    ['no account', { account_id: undefined }, 'account_id'],
    ['an account that is not a UUID', { account_id: 'ann' }, 'account_id'],
    ['an unknown account', { account_id: '00000000-0000-4000-8000-000000000000' }, 'account_id'],
    ['no body', { body: undefined }, 'body'],
    ['an empty body', { body: ' \n\t' }, 'body'],
    ['a body that is too long', { body: 'x'.repeat(3_001) }, 'body'],
    ['a body that cannot be stored', { body: 'a\0b' }, 'body'],
    ['half a surrogate pair', { body: 'a\ud800b' }, 'body'],
    ['media that are not a list', { media_urls: 'https://example.com/a.png' }, 'media_urls'],
    ['too many media', { media_urls: Array(21).fill('https://example.com/a.png') }, 'media_urls'],
    ['media that are not a URL', { media_urls: ['https://example.com/a.png', 'a.png'] }, 'media_urls.1'],
    ['media by another protocol', { media_urls: ['ftp://example.com/a.png'] }, 'media_urls.0'],
    ['media with credentials', { media_urls: ['https://a:b@example.com/a.png'] }, 'media_urls.0'],
    ['media at a private address', { media_urls: ['http://169.254.169.254/a.png'] }, 'media_urls.0'],
    ['media at this machine', { media_urls: ['http://127.0.0.1:4322/a.png'] }, 'media_urls.0'],
    ['media at this machine by IPv6', { media_urls: ['http://[::1]/a.png'] }, 'media_urls.0'],
    ['a time in words', { scheduled_for: 'tomorrow' }, 'scheduled_for'],
    ['a time without an offset', { scheduled_for: '2027-01-01T00:00:00' }, 'scheduled_for'],
    ['a priority of 4', { priority: 4 }, 'priority'],
    ['an unknown field', { chat_id: 'x' }, 'chat_id'],
  ])('refuses %s, and stores none of the others', async (_name, changes, field) => {
    const { status, body } = await create([post(), post(changes)]);
    expect({ status, kind: body.error.kind }).toEqual({ status: 422, kind: 'invalid' });
    expect(body.error.errors).toMatchObject([{ index: 1, field, message: expect.stringMatching(/\w/) }]);
    expect(await count()).toBe(0);
  });

  it('refuses an account that cannot publish posts, and names its provider', async () => {
    const whatsapp = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const { body } = await create(post({ account_id: whatsapp }));
    expect(body.error.errors).toEqual([
      {
        index: 0,
        field: 'account_id',
        message: 'posts go out over unipile, and this account is of whatsapp_cloud',
      },
    ]);
  });
});

describe('GET /api/posts', () => {
  const list = (query: string) => answered(GET(request('GET', query), { params: Promise.resolve({}) }));

  it('lists posts by status, under the queue’s own words', async () => {
    const scheduled = await add({ scheduled_for: '2027-01-01T00:00:00Z' });
    const cancelled = await add();
    await cancel(cancelled);
    for (const [word, id] of [
      ['scheduled', scheduled],
      ['cancelled', cancelled],
    ]) {
      const { status, body } = await list(`?status=${word}&limit=5`);
      expect(status).toBe(200);
      expect(body.rows).toMatchObject([
        { id, status: word, account: { name: 'Ann' }, row: { body: 'hello' } },
      ]);
    }
    expect((await list('?status=published')).body).toEqual({ rows: [], next: null });
  });

  it('lists the valid statuses if it does not know the one given', async () => {
    const { status, body } = await list('?status=sent');
    expect(status).toBe(400);
    expect(JSON.stringify(body.error.errors)).toMatch(/scheduled.*published/);
  });
});

describe('PATCH /api/posts/:id', () => {
  it('changes the named fields, and returns the post', async () => {
    const id = await add({ expires_at: '2027-01-02T00:00:00Z' });
    const { status, body } = await edit(id, { body: 'better', media_urls: ['https://example.com/a.png'] });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id,
      body: 'better',
      expires_at: '2027-01-02T00:00:00+00:00',
      status: 'scheduled',
    });
    expect(
      (await edit(id, { expires_at: null, scheduled_for: '2027-01-01T01:00:00+01:00', priority: 3 })).body,
    ).toEqual({
      ...body,
      expires_at: null,
      scheduled_for: '2027-01-01T00:00:00+00:00',
      priority: 3,
    });
    expect((await read(id)).body).toMatchObject({
      body: 'better',
      media_urls: ['https://example.com/a.png'],
    });
  });

  it.each<[name: string, changes: unknown, field: string]>([
    ['an empty object', {}, ''],
    ['an array', [1], ''],
    ['an empty body', { body: '' }, 'body'],
    ['a null body', { body: null }, 'body'],
    ['private media', { media_urls: ['http://10.0.0.1/a.png'] }, 'media_urls.0'],
    ['another account', { account_id: 'x' }, 'account_id'],
    ['a status', { status: 'published' }, 'status'],
  ])('refuses %s, and changes nothing', async (_name, changes, field) => {
    const id = await add();
    const before = (await read(id)).body;
    const { status, body } = await edit(id, changes);
    expect(status).toBe(422);
    expect(body.error.errors).toMatchObject([{ field, message: expect.stringMatching(/\w/) }]);
    expect((await read(id)).body).toEqual(before);
  });
});

describe('an edit and a cancellation', () => {
  it('are accepted while the post is scheduled', async () => {
    const id = await add();
    await attempt('release');
    expect((await edit(id, { body: 'x' })).status).toBe(200);
    expect(await cancel(id)).toEqual({ status: 200, body: { id, status: 'cancelled' } });
    expect((await sql.history(id))[0]?.[1]).toMatch(/^the API decided: cancel it/);
  });

  it.each<[word: string, outcome: string | null, says: RegExp]>([
    ['publishing', null, /being sent to the provider/],
    ['published', 'done', /it is public and can no longer be changed/],
    ['failed', 'dead', /schedule a new one/],
    ['unknown', 'unknown', /decide with POST \/api\/queues\/posts\/rows\/<id>\/resolve/],
  ])('are refused with the reason once it is %s', async (word, outcome, says) => {
    const id = await add();
    await attempt(
      outcome,
      outcome === 'done' ? { provider_post_id: 'p', permalink: 'https://e.com/p' } : undefined,
    );
    const before = (await read(id)).body;
    expect(before.status).toBe(word);
    for (const late of [await edit(id, { body: 'late' }), await cancel(id)]) {
      expect(late).toMatchObject({ status: 409, body: { error: { kind: 'conflict' } } });
      expect(late.body.error.message).toMatch(new RegExp(`^the post is ${word}: `));
      expect(late.body.error.message).toMatch(says);
    }
    expect((await read(id)).body).toEqual(before);
  });

  it('are refused once it is cancelled', async () => {
    const id = await add();
    await cancel(id);
    expect((await cancel(id)).body.error.message).toBe('the post is cancelled: schedule a new one');
  });

  it.each(['1', '007', '9223372036854775808', 'x', '-1', '%00', 'a b', '1e3'])(
    'return 404 for the unknown post %s, as does a read',
    async (id) => {
      for (const { status, body } of [await edit(id, { body: 'x' }), await cancel(id), await read(id)]) {
        expect([status, body.error.kind]).toEqual([404, 'not_found']);
      }
    },
  );
});

describe('a signed-in person without a key', () => {
  it('may cancel from the dashboard, and from no other site', async () => {
    const id = await add();
    expect((await cancel(id, { ...cookie(), origin: 'http://evil.test' })).status).toBe(403);
    expect((await cancel(id, { ...cookie(), origin: 'http://app.test' })).status).toBe(200);
    expect((await sql.history(id))[0]?.[1]).toMatch(/^a dashboard user decided/);
  });
});

describe('MEDIA_ALLOW_PRIVATE', () => {
  it.each([
    [undefined, []],
    ['  ', []],
    ['127.0.0.1:4010, media.internal ,[::1]:80,', ['127.0.0.1:4010', 'media.internal', '[::1]:80']],
  ])('reads %j as %j', (value, hosts) => {
    expect(serverEnv({ MEDIA_ALLOW_PRIVATE: value }).mediaAllowPrivate).toEqual(hosts);
  });

  it.each(['http://127.0.0.1', 'a/b', 'user@host', 'host:port', '127.0.0.1:99999'])(
    'refuses %j, and names the variable',
    (value) => {
      expect(() => serverEnv({ MEDIA_ALLOW_PRIVATE: value })).toThrow(/MEDIA_ALLOW_PRIVATE/);
    },
  );
});
