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
/** Where media are, and what it answers next: a status, or the sandbox's own picture. */
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
  // What is tried again waits for longer than a test takes.
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

/** An account of its own, answering its id and its name at the provider. */
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
/** As if the uncertain attempts had been over for so long, and their looks were due. */
const letPass = (minutes: number) =>
  database.sql(
    `update punctual.posts set reconcile_at = now() - interval '1 second',
       reconcile = reconcile || jsonb_build_object('over_at', now() - make_interval(mins => $1::integer)) where status = 'unknown'`,
    [minutes],
  );
/** As if what holds the accounts were over. */
const letWaitsPass = () =>
  database.sql(
    `update punctual.pace set retry_at = null, ready_at = null, next_ok_at = '-infinity', waiting_for = null`,
  );

describe('a due post', () => {
  it.each([0, 3])('is published with %d media, and its id, permalink and time are kept', async (count) => {
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

  it('is left alone before its time, and where it was cancelled', async () => {
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
    'that %s is not published, and says why',
    async (_what, changes: { body?: string; media_urls?: string[] }, reason) => {
      const { id, name } = await addAccount();
      await addPost(id, changes.body ?? 'hello', changes.media_urls ?? []);
      await tick();
      expect(await rows()).toMatchObject([
        { status: 'scheduled', last_error: expect.stringMatching(reason) },
      ]);
      expect(published(name)).toEqual([]);
    },
  );

  it('that the provider refuses fails; one that it limits goes out later', async () => {
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

  it('of a provider that publishes no posts waits, and is counted', async () => {
    const { id } = await addAccount('whatsapp_cloud');
    await addPost(id, 'hello');
    expect(await tick()).toMatchObject({ counts: { claimed: 0 } });
    expect(await rows()).toMatchObject([{ status: 'scheduled', attempts: 0 }]);
  });

  it('cannot be published where Unipile is not configured', () => {
    expect(() => queue.connect({})).toThrow(/set UNIPILE_DSN and UNIPILE_API_KEY/);
  });
});

describe('media', () => {
  it.each([
    ['that are not there', () => `http://${mediaHost}/a.png`, 404, /answered 404/],
    ['at a private address', () => 'http://127.0.0.1:1/a.png', 200, /not a public address/],
    [
      'at a name that is this machine',
      () => `http://localhost:${mediaHost.split(':')[1]}/a.png`,
      200,
      /not a public address/,
    ],
    ['at the metadata service', () => 'http://169.254.169.254/latest/meta-data', 200, /not a public address/],
  ])('%s fail the post, and nothing is published', async (_what, url, status, reason) => {
    mediaStatus = status;
    const { id, name } = await addAccount();
    await addPost(id, 'hello', [`${sandbox.url}/media/fine.png`, url()]);
    await tick();
    expect(await rows()).toMatchObject([{ status: 'failed', last_error: expect.stringMatching(reason) }]);
    expect(published(name)).toEqual([]);
  });

  it('that cannot be had at the moment let the post go out later, once, and leave the provider in peace', async () => {
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

describe('a post that is out', () => {
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

  it('keeps the id that it was given where it cannot be read back', async () => {
    const readPost = () => Promise.reject(new Error('404'));
    const published = await attempt({ createPost: async () => ({ postId: '77' }), readPost });
    expect(published).toEqual({ kind: 'done', result: { provider_post_id: '77' } });
  });

  it('is published even where its time is over while it is read back', async () => {
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

  it('is published also where the network gave no id', async () => {
    expect(await attempt({ createPost: async () => ({ postId: null }) })).toEqual({
      kind: 'done',
      result: {},
    });
  });
});

describe('a post whose answer was lost', () => {
  it('is found among the account’s posts, and published once, with its permalink', async () => {
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

  it('and that is not there goes out again, no sooner than it may still turn up, and once', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'hello');
    // The first answer that is lost is lost before the post is taken.
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

  it('beside one with the same text: a person decides which of them it is', async () => {
    const { id, name } = await addAccount();
    for (const _ of [1, 2]) await addPost(id, 'the same');
    await setFaults({ lost: 1 });
    await tick();
    await setFaults({ lost: 0 });
    // Of two lost answers one was lost before its post was taken, and one after.
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

  it('is not taken for another row’s post, even where that row knows it by another id', async () => {
    const { id, name } = await addAccount();
    await addPost(id, 'the same');
    await tick();
    // As where the post could not be read back: the id is that of the share.
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

  it('waits for a person where the account posted something else since, that nobody here knows of', async () => {
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

  it.each<[what: string, media_urls: string[], absentAfterMs: number | null]>([
    ['is proved absent without media', [], 600_000],
    ['is never proved absent with media, which may still be in process', ['https://x.test/a.mp4'], null],
  ])('%s, where the whole list was read and it is not there', async (_what, media_urls, absentAfterMs) => {
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

  it('is looked at later where another post of the account is going out at the moment', async () => {
    const evidence = [{ status: 'publishing', body: 'x', provider_post_id: null, permalink: null }];
    const context = {
      deps: queue.connect({ unipile: { dsn: sandbox.url, apiKey: SANDBOX_API_KEY } }),
      signal: new AbortController().signal,
      log: silentLog,
      account,
      attemptedAt: new Date().toISOString(),
      evidence,
    };
    const look = queue.reconcile?.({ id: '1', body: 'hello', media_urls: [] }, context);
    await expect(look).rejects.toThrow(/another post of the account is being published/);
  });
});
