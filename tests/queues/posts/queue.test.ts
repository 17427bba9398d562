import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../../app/api/cron/posts/route.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import type { UnipilePosts } from '../../../lib/providers/unipile/unipile-posts.ts';
import { posts as queue } from '../../../lib/queues/posts/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices, provideServices } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { answered, apiRequest, bearer, CRON_SECRET, stubSecrets } from '../../support/api-server.ts';
import { testDatabase } from '../../support/fixtures.ts';
import { type Site, sites } from '../../support/sites.ts';

const database = testDatabase();
let sandbox: Sandbox;
/** Serves media with this status. */
let mediaStatus = 200;
const { serve, closeAll } = sites();
let media: Site;

/** Makes the routes use this database and, by default, the sandbox. */
async function startServer(unipile = sandbox.url): Promise<void> {
  const env = serverEnv({
    SUPABASE_URL: 'http://127.0.0.1',
    SUPABASE_SERVICE_ROLE_KEY: 'key',
    UNIPILE_DSN: unipile,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    MEDIA_ALLOW_PRIVATE: `${media.host}, ${new URL(sandbox.url).host}`,
  });
  const made = await makeServices(env);
  const { rpc } = database;
  // A retry waits longer than a test takes.
  const ports = { ...made.ports, log: silentLog, store: queueStore(rpc), random: () => 0.5 };
  provideServices({ ...made, rpc, log: silentLog, ports });
}

beforeAll(async () => {
  sandbox = await startSandbox();
  media = await serve((_request, response) => {
    response.writeHead(mediaStatus, { 'content-type': 'image/png' }).end('x');
  });
});
afterAll(async () => {
  provideServices(null);
  await closeAll();
  await sandbox.close();
});
beforeEach(async () => {
  stubSecrets();
  mediaStatus = 200;
  await startServer();
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const account = { id: 'a', provider: 'unipile', providerAccountId: 'acc', name: 'Ann' };
const attemptContext = (signal = new AbortController().signal) => ({ account, signal, log: silentLog });
/** The queue's own providers. */
const connect = () => queue.connect({ unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY } });

async function tick() {
  const { status, body } = await answered(GET(apiRequest('GET', '/api/cron/posts', bearer(CRON_SECRET))));
  expect(status).toBe(200);
  return body;
}
/** Ticks through a provider that loses its first response before it stores the post. */
async function tickLossy(): Promise<void> {
  const lossy = await startSandbox({ lost: 1 });
  await startServer(lossy.url);
  await tick();
  expect(lossy.deliveries()).toEqual([]);
  await lossy.close();
  await startServer();
}

/** Adds an account. Returns its id and its name at the provider. */
async function addAccount(name: string = crypto.randomUUID()) {
  const [{ id }] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', $1, $1) returning id`,
    [name],
  );
  return { id, name };
}
const addPost = (accountId: string, body: string, mediaUrls: string[] = []) =>
  database.sql('insert into punctual.posts (account_id, body, media_urls) values ($1, $2, $3)', [
    accountId,
    body,
    mediaUrls,
  ]);
const rows = () => database.sql('select * from punctual.posts order by id');
const published = (name: string) => sandbox.deliveries().filter(({ account }) => account === name);
/** Makes the unknown attempts end `minutes` ago, and their checks due. */
const letPass = (minutes: number) =>
  database.sql(
    `update punctual.posts set reconcile_at = now() - interval '1 second',
       reconcile = reconcile || jsonb_build_object('over_at', now() - make_interval(mins => $1::integer)) where status = 'unknown'`,
    [minutes],
  );
/** Ends all waits of the accounts. */
const letWaitsPass = () =>
  database.sql(
    `update punctual.pace set retry_at = null, ready_at = null, next_ok_at = '-infinity', waiting_for = null`,
  );

describe('a due post', () => {
  it.each([0, 3])('is published with %d media, and keeps its id, permalink and time', async (count) => {
    const { id, name } = await addAccount();
    const urls = Array.from({ length: count }, (_, place) => `${sandbox.url}/media/${place}.png`);
    await addPost(id, `hello with ${count}`, urls);
    expect(await tick()).toMatchObject({ queue: 'posts', outcome: 'ran', counts: { claimed: 1, done: 1 } });
    const [delivery, ...more] = published(name);
    expect(more).toEqual([]);
    expect(delivery).toMatchObject({ kind: 'post', text: `hello with ${count}`, media: count });
    const [row] = await rows();
    expect(row).toMatchObject({
      status: 'published',
      provider_post_id: delivery?.id,
      permalink: `${sandbox.url}/feed/update/${delivery?.id}`,
      last_error: null,
    });
    expect(row.published_at).toBe(row.finished_at);
    expect(Math.abs(Date.parse(row.published_at) - Date.now())).toBeLessThan(10_000);
  });

  it.each<[name: string, body: string, media: number, reason: RegExp]>([
    ['is longer than a post may be', 'x'.repeat(3_001), 0, /3000 characters/],
    ['is empty', ' \n ', 0, /body: is empty/],
    ['has too many media', 'hello', 21, /more than the 20/],
  ])('that %s is not published, and its row says why', async (_name, body, media, reason) => {
    const { id, name } = await addAccount();
    await addPost(id, body, Array(media).fill('https://example.com/a.png'));
    await tick();
    expect(await rows()).toMatchObject([{ status: 'scheduled', last_error: expect.stringMatching(reason) }]);
    expect(published(name)).toEqual([]);
  });

  it('that the provider refuses fails, and one that it limits is published later', async () => {
    const gone = await addAccount('gone-1');
    const { id, name } = await addAccount();
    await addPost(gone.id, 'hello');
    await addPost(id, 'too much [[limit]]');
    await tick();
    expect(await rows()).toMatchObject([
      { status: 'failed', last_error: expect.stringMatching(/answered 422/) },
      { status: 'scheduled', attempts: 0 },
    ]);
    await database.sql('update punctual.accounts set paused_until = null');
    await letWaitsPass();
    await tick();
    expect(published(name)).toHaveLength(1);
  });

  it('cannot be published if Unipile is not configured', () => {
    expect(() => queue.connect({})).toThrow(/set UNIPILE_DSN and UNIPILE_API_KEY/);
  });
});

describe('media', () => {
  it.each([
    ['that do not exist', () => `http://${media.host}/a.png`, /answered 404/],
    ['at a private address', () => 'http://127.0.0.1:1/a.png', /not a public address/],
  ])('%s make the post fail, and nothing is published', async (_name, url, reason) => {
    mediaStatus = 404;
    const { id, name } = await addAccount();
    await addPost(id, 'hello', [`${sandbox.url}/media/fine.png`, url()]);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'failed', last_error: expect.stringMatching(reason) }]);
    expect(published(name)).toEqual([]);
  });

  it('that are unavailable for now delay the post, which is published once, and do not count against the provider', async () => {
    mediaStatus = 503;
    const accounts = await Promise.all(Array.from({ length: 7 }, () => addAccount()));
    for (const { id } of accounts) await addPost(id, 'hello', [`http://${media.host}/a.png`]);
    expect(await tick()).toMatchObject({ counts: { claimed: 7, retried: 7, done: 0 } });
    expect(await database.sql('select * from punctual.providers where failures > 0')).toEqual([]);
    const last_error = expect.stringMatching(/answered 503/);
    for (const row of await rows())
      expect(row).toMatchObject({ status: 'scheduled', attempts: 1, last_error });
    mediaStatus = 200;
    await letWaitsPass();
    await tick();
    for (const { name } of accounts) expect(published(name)).toMatchObject([{ media: 1 }]);
  });
});

describe('a post that was created', () => {
  const attempt = (unipile: Partial<UnipilePosts>, signal?: AbortSignal) => {
    const deps = connect();
    const context = { ...attemptContext(signal), attempt: 1, claimId: 'c', facts: null, progress: () => {} };
    const row = { id: '1', body: 'hello', media_urls: [] };
    return queue.perform(row, { ...context, deps: { ...deps, unipile: { ...deps.unipile, ...unipile } } });
  };
  const published = { kind: 'done', result: { provider_post_id: '77' } };

  it('keeps its id if it cannot be read back', async () => {
    const readPost = () => Promise.reject(new Error('404'));
    expect(await attempt({ createPost: async () => ({ postId: '77' }), readPost })).toEqual(published);
  });

  it('is published even if its time ends while it is read back', async () => {
    const ending = new AbortController();
    const createPost = async () => {
      setTimeout(() => ending.abort(), 20);
      return { postId: '77' };
    };
    const readPost: UnipilePosts['readPost'] = ({ signal }) =>
      new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(new Error('aborted'))),
      );
    expect(await attempt({ createPost, readPost }, ending.signal)).toEqual(published);
  });

  it('is published even if the network returns no id', async () => {
    const outcome = await attempt({ createPost: async () => ({ postId: null }) });
    expect(outcome).toEqual({ kind: 'done', result: {} });
  });
});

describe('a post whose response was lost', () => {
  it('is found in the account’s feed, and is published once, with its permalink', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'hello https://example.com/ [[drop-after]]', [`${sandbox.url}/media/a.png`]);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'unknown', published_at: null }]);
    await letPass(0);
    expect(await tick()).toMatchObject({ counts: { claimed: 0 }, checks: { checked: 1, resolved: 1 } });
    const [delivery, ...more] = published(name);
    expect(more).toEqual([]);
    expect(await rows()).toMatchObject([
      {
        status: 'published',
        provider_post_id: delivery?.id,
        permalink: `${sandbox.url}/feed/update/${delivery?.id}`,
        published_at: expect.stringMatching(/^2/),
      },
    ]);
  });

  it('is published again, once, if it is absent after the provider’s longest delay', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'hello');
    await tickLossy();
    await letPass(5);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'unknown' }]);
    expect(published(name)).toEqual([]);
    await letPass(11);
    for (const _ of [1, 2]) await tick();
    expect(published(name)).toHaveLength(1);
    expect(await rows()).toMatchObject([
      { status: 'published', attempts: 2, provider_post_id: published(name)[0]?.id },
    ]);
  });

  it('is not proved by another row’s post, even if that row has another id of it', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'the same');
    await tick();
    // The id is the share's, as for a post that could not be read back.
    const [{ provider_post_id }] = await rows();
    const share = String(BigInt(provider_post_id.replace('urn:li:activity:', '')) + 1n);
    await database.sql('update punctual.posts set provider_post_id = $1, permalink = null', [share]);
    await addPost(id, 'the same');
    await tickLossy();
    await letPass(30);
    await tick();
    const [, second] = await rows();
    expect(second).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: true } });
    expect(published(name)).toHaveLength(1);
  });

  const check = (deps: ReturnType<typeof connect>, media_urls: string[], evidence: unknown = null) => {
    const context = { ...attemptContext(), deps, attemptedAt: '2026-03-02T12:00:00Z', evidence };
    return queue.reconcile?.({ id: '1', body: 'hello', media_urls }, context);
  };

  it.each<[name: string, media_urls: string[], absentAfterMs: number | null]>([
    ['is proved absent without media', [], 600_000],
    [
      'is never proved absent with media, which the network may still process',
      ['https://x.test/a.mp4'],
      null,
    ],
  ])('%s, if the whole feed was read and does not have it', async (_name, media_urls, absentAfterMs) => {
    const connected = connect();
    const listOwnPosts = async () => ({ posts: [], complete: true });
    const deps = { ...connected, unipile: { ...connected.unipile, listOwnPosts }, unipileMaxLateMs: 600_000 };
    expect(await check(deps, media_urls)).toMatchObject({ proof: [], candidates: [], absentAfterMs });
  });

  it('is checked later if another post of the account is being published', async () => {
    const evidence = [{ status: 'publishing', body: 'x', provider_post_id: null, permalink: null }];
    await expect(check(connect(), [], evidence)).rejects.toThrow(
      /another post of the account is being published/,
    );
  });
});
