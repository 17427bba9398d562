import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../../app/api/cron/posts/route.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import type { UnipilePosts } from '../../../lib/providers/unipile/unipile-posts.ts';
import { posts as queue } from '../../../lib/queues/posts/queue.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import { provideServices } from '../../support/api-server.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const SECRET = 'cron-secret-of-this-month';
let database: TestDatabase;
let sandbox: Sandbox;
/** The host of the media, and the status of its responses. */
let mediaHost: string;
let mediaStatus = 200;
let mediaServer: ReturnType<typeof createServer>;

async function startServer(variables: Record<string, string> = {}): Promise<void> {
  const env = serverEnv({
    SUPABASE_URL: 'http://127.0.0.1',
    SUPABASE_SERVICE_ROLE_KEY: 'key',
    UNIPILE_DSN: sandbox.url,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    MEDIA_ALLOW_PRIVATE: `${mediaHost}, ${new URL(sandbox.url).host}`,
    ...variables,
  });
  const made = await makeServices(env);
  const store = queueStore(database.rpc);
  // A retry waits longer than a test takes.
  const ports = { ...made.ports, log: silentLog, store, random: () => 0.5 };
  provideServices({ ...made, rpc: database.rpc, log: silentLog, ports });
}

beforeAll(async () => {
  database = await openTestDatabase();
  sandbox = await startSandbox();
  mediaServer = createServer((_request, response) => {
    response.writeHead(mediaStatus, { 'content-type': 'image/png' }).end('x');
  });
  await new Promise<void>((resolve) => mediaServer.listen(0, '127.0.0.1', resolve));
  mediaHost = `127.0.0.1:${(mediaServer.address() as AddressInfo).port}`;
});
afterAll(async () => {
  mediaServer.close();
  await sandbox.close();
  await database.close();
});
beforeEach(async () => {
  await database.reset();
  vi.stubEnv('CRON_SECRET', SECRET);
  mediaStatus = 200;
  await setFaults({ rateLimited: 0, lost: 0 });
  await startServer();
});
afterEach(() => {
  vi.unstubAllEnvs();
  provideServices(null);
});

const account = { id: 'a', provider: 'unipile', providerAccountId: 'acc', name: 'Ann' };

const setFaults = (faults: object) =>
  fetch(`${sandbox.url}/faults`, { method: 'POST', body: JSON.stringify(faults) });

async function tick() {
  const headers = { host: 'app.test', authorization: `Bearer ${SECRET}` };
  const response = await GET(new Request('http://app.test/api/cron/posts', { headers }));
  expect(response.status).toBe(200);
  return response.json();
}

/** Adds an account. Returns its id and its name at the provider. */
async function addAccount(provider = 'unipile'): Promise<{ id: string; name: string }> {
  const name = crypto.randomUUID();
  const [account] = await database.sql(
    'insert into punctual.accounts (provider, provider_account_id, name) values ($1, $2, $2) returning id',
    [provider, name],
  );
  return { id: account.id, name };
}
async function addPost(accountId: string, body: string, mediaUrls: string[] = []): Promise<void> {
  await database.sql('insert into punctual.posts (account_id, body, media_urls) values ($1, $2, $3)', [
    accountId,
    body,
    mediaUrls,
  ]);
}
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

  it('is left alone before it is due, or if it was cancelled', async () => {
    const { id, name } = await addAccount();
    await database.sql(
      `insert into punctual.posts (account_id, body, scheduled_for, status) values ($1, 'later', now() + interval '1 hour', 'scheduled'),
         ($1, 'never', now(), 'cancelled')`,
      [id],
    );
    expect(await tick()).toMatchObject({ counts: { claimed: 0 } });
    expect(published(name)).toEqual([]);
  });

  it.each([
    ['is longer than a post may be', { body: 'x'.repeat(3_001) }, /3000 characters/],
    ['is empty', { body: ' \n ' }, /body: is empty/],
    ['has too many media', { media_urls: Array(21).fill('https://example.com/a.png') }, /more than the 20/],
  ])(
    'that %s is not published, and its row says why',
    async (_name, changes: { body?: string; media_urls?: string[] }, reason) => {
      const { id, name } = await addAccount();
      await addPost(id, changes.body ?? 'hello', changes.media_urls ?? []);
      await tick();
      expect(await rows()).toMatchObject([
        { status: 'scheduled', last_error: expect.stringMatching(reason) },
      ]);
      expect(published(name)).toEqual([]);
    },
  );

  it('that the provider refuses fails, and one that it limits is published later', async () => {
    const gone = await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'gone-1', 'G') returning id`,
    );
    const { id, name } = await addAccount();
    await addPost(gone[0].id, 'hello');
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

  it('of a provider that cannot publish posts waits', async () => {
    const { id } = await addAccount('whatsapp_cloud');
    await addPost(id, 'hello');
    expect(await tick()).toMatchObject({ counts: { claimed: 0 } });
    expect(await rows()).toMatchObject([{ status: 'scheduled', attempts: 0 }]);
  });

  it('cannot be published if Unipile is not configured', () => {
    expect(() => queue.connect({})).toThrow(/set UNIPILE_DSN and UNIPILE_API_KEY/);
  });
});

describe('media', () => {
  it.each([
    ['that do not exist', () => `http://${mediaHost}/a.png`, 404, /answered 404/],
    ['at a private address', () => 'http://127.0.0.1:1/a.png', 200, /not a public address/],
    [
      'at a name of this machine',
      () => `http://localhost:${mediaHost.split(':')[1]}/a.png`,
      200,
      /not a public address/,
    ],
    ['at the metadata service', () => 'http://169.254.169.254/latest/meta-data', 200, /not a public address/],
  ])('%s make the post fail, and nothing is published', async (_name, url, status, reason) => {
    mediaStatus = status;
    const { id, name } = await addAccount();
    await addPost(id, 'hello', [`${sandbox.url}/media/fine.png`, url()]);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'failed', last_error: expect.stringMatching(reason) }]);
    expect(published(name)).toEqual([]);
  });

  it('that are unavailable for now delay the post, which is published once, and do not count against the provider', async () => {
    mediaStatus = 503;
    const accounts = await Promise.all(Array.from({ length: 7 }, () => addAccount()));
    for (const { id } of accounts) await addPost(id, 'hello', [`http://${mediaHost}/a.png`]);
    expect(await tick()).toMatchObject({ counts: { claimed: 7, retried: 7, done: 0 } });
    expect(await database.sql('select * from punctual.providers where failures > 0')).toEqual([]);
    for (const row of await rows()) {
      expect(row).toMatchObject({ status: 'scheduled', attempts: 1 });
      expect(row.last_error).toMatch(/answered 503/);
    }
    mediaStatus = 200;
    await letWaitsPass();
    await tick();
    for (const { name } of accounts) expect(published(name)).toMatchObject([{ media: 1 }]);
  });
});

describe('a post that was created', () => {
  const attempt = (unipile: Partial<UnipilePosts>, signal = new AbortController().signal) => {
    const deps = queue.connect({ unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY } });
    const context = {
      attempt: 1,
      claimId: 'c',
      account,
      facts: null,
      signal,
      log: silentLog,
      progress: () => {},
    };
    const row = { id: '1', body: 'hello', media_urls: [] };
    return queue.perform(row, { ...context, deps: { ...deps, unipile: { ...deps.unipile, ...unipile } } });
  };

  it('keeps its id if it cannot be read back', async () => {
    const readPost = () => Promise.reject(new Error('404'));
    const published = await attempt({ createPost: async () => ({ postId: '77' }), readPost });
    expect(published).toEqual({ kind: 'done', result: { provider_post_id: '77' } });
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
    expect(await attempt({ createPost, readPost }, ending.signal)).toEqual({
      kind: 'done',
      result: { provider_post_id: '77' },
    });
  });

  it('is published even if the network returns no id', async () => {
    expect(await attempt({ createPost: async () => ({ postId: null }) })).toEqual({
      kind: 'done',
      result: {},
    });
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
    // The sandbox loses its first response before it stores the post.
    const lossy = await startSandbox({ lost: 1 });
    await startServer({ UNIPILE_DSN: lossy.url });
    await tick();
    expect(lossy.deliveries()).toEqual([]);
    await lossy.close();
    await startServer();
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

  it('waits for an operator if another unknown post has the same text', async () => {
    const { id, name } = await addAccount();
    for (const _ of [1, 2]) await addPost(id, 'the same');
    await setFaults({ lost: 1 });
    await tick();
    await setFaults({ lost: 0 });
    // Of two lost responses, one was lost before its post was stored, and one after.
    expect(await rows()).toMatchObject([{ status: 'unknown' }, { status: 'unknown' }]);
    expect(published(name)).toHaveLength(1);
    for (const _ of [1, 2, 3]) {
      await letPass(11);
      await tick();
    }
    const waiting = { status: 'unknown', reconcile: { waits_for_operator: true } };
    expect(await rows()).toMatchObject([waiting, waiting]);
    expect(published(name)).toHaveLength(1);
  });

  it('is not proved by another row’s post, even if that row has another id of it', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'the same');
    await tick();
    // The id is the share's, as for a post that could not be read back.
    const [{ provider_post_id }] = await rows();
    const share = String(BigInt(provider_post_id.replace('urn:li:activity:', '')) + 1n);
    await database.sql('update punctual.posts set provider_post_id = $1, permalink = null', [share]);
    const lossy = await startSandbox({ lost: 1 });
    await startServer({ UNIPILE_DSN: lossy.url });
    await addPost(id, 'the same');
    await tick();
    await lossy.close();
    await startServer();
    await letPass(30);
    await tick();
    const [, second] = await rows();
    expect(second).toMatchObject({ status: 'unknown', reconcile: { waits_for_operator: true } });
    expect(published(name)).toHaveLength(1);
  });

  it('waits for an operator if the account has published an unknown post since', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'hello [[drop-before]]');
    await tick();
    const body = new FormData();
    body.append('account_id', name);
    body.append('text', 'by hand');
    await fetch(`${sandbox.url}/api/v1/posts`, {
      method: 'POST',
      body,
      headers: { 'x-api-key': SANDBOX_API_KEY },
    });
    await letPass(30);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'unknown', reconcile: { waits_for_operator: true } }]);
  });

  it.each<[name: string, media_urls: string[], absentAfterMs: number | null]>([
    ['is proved absent without media', [], 600_000],
    [
      'is never proved absent with media, which the network may still process',
      ['https://x.test/a.mp4'],
      null,
    ],
  ])('%s, if the whole feed was read and does not have it', async (_name, media_urls, absentAfterMs) => {
    const unipile = { listOwnPosts: async () => ({ posts: [], complete: true }) } as unknown as UnipilePosts;
    const finding = await queue.reconcile?.(
      { id: '1', body: 'hello', media_urls },
      {
        deps: { unipile, unipileMaxLateMs: 600_000 } as never,
        account: { id: 'a', provider: 'unipile', providerAccountId: 'acc', name: 'Ann' },
        attemptedAt: '2026-03-02T12:00:00Z',
        evidence: null,
        log: silentLog,
        signal: new AbortController().signal,
      },
    );
    expect(finding).toMatchObject({ proof: [], candidates: [], absentAfterMs });
  });

  it('is checked later if another post of the account is being published', async () => {
    const evidence = [{ status: 'publishing', body: 'x', provider_post_id: null, permalink: null }];
    const context = {
      deps: queue.connect({ unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY } }),
      signal: new AbortController().signal,
      log: silentLog,
      account,
      attemptedAt: new Date().toISOString(),
      evidence,
    };
    const check = queue.reconcile?.({ id: '1', body: 'hello', media_urls: [] }, context);
    await expect(check).rejects.toThrow(/another post of the account is being published/);
  });
});
