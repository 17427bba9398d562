import { beforeEach, describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ name: 'Ann' });
});

const tick = (changes: object = {}) => sql.tick({ queue: 'posts', providers: ['unipile'], ...changes });
/** Returns the rows that a tick of its own claims. */
async function claim() {
  const running = tick();
  const { rows } = await running.claim();
  await running.close();
  return rows;
}
const post = (changes: object = {}) => ({ account_id: account, body: 'hello', ...changes });
const enqueue = (...posts: object[]) =>
  database.rpc('enqueue_posts', { p_rows: posts, p_now: sql.now }) as Promise<{
    rows?: { id: string; status: string; created: boolean }[];
    errors?: { index: number; field: string; message: string }[];
  }>;
async function add(changes: object = {}): Promise<string> {
  const { rows } = await enqueue(post(changes));
  return rows?.[0]?.id ?? '';
}
const update = (id: string, changes: object) =>
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  database.rpc('update_post', { p_id: id, p_changes: changes, p_now: sql.now }) as Promise<any>;
const cancel = (id: string) =>
  database.rpc('cancel_post', { p_id: id, p_by: 'Ann', p_now: sql.now }) as Promise<{
    id: string;
    status: string;
  }>;
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const read = (id: string) => database.rpc('read_post', { p_id: id }) as Promise<any>;
const count = async () => (await database.sql('select count(*)::integer as n from punctual.posts'))[0].n;

/** Adds a post, and settles its attempt with `outcome` and the fields of `more`. Returns its id. */
async function addSettled(outcome: string, more: object = {}, changes: object = {}): Promise<string> {
  const id = await add(changes);
  const running = tick();
  const { claimId } = await running.claim();
  await running.settle([{ id, claim_id: claimId, outcome, error: 'e', ...more }], { close: true });
  return id;
}

describe('posts that are enqueued', () => {
  it('are scheduled, for now unless they name a time, and keep all their fields', async () => {
    const full = {
      media_urls: ['https://example.com/a.png', 'https://example.com/b.png'],
      scheduled_for: '2026-07-01T07:30:00+00:00',
      priority: 0,
      expires_at: '2026-07-02T07:30:00+00:00',
      idempotency_key: 'k',
    };
    const { rows } = await enqueue(post(), post(full));
    expect(rows).toMatchObject([
      { status: 'scheduled', created: true },
      { status: 'scheduled', created: true },
    ]);
    expect(await read(rows?.[0]?.id ?? '')).toMatchObject({
      account_id: account,
      status: 'scheduled',
      body: 'hello',
      media_urls: [],
      scheduled_for: '2026-03-02T12:00:00+00:00',
      priority: 1,
      published_at: null,
      provider_post_id: null,
      permalink: null,
      attempts: 0,
    });
    const { idempotency_key: _key, ...shown } = full;
    expect(await read(rows?.[1]?.id ?? '')).toMatchObject(shown);
  });

  it('are added all or none', async () => {
    const whatsapp = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const nobody = '00000000-0000-0000-0000-000000000000';
    const { errors } = await enqueue(post(), post({ account_id: nobody }), post({ account_id: whatsapp }));
    expect(errors).toEqual([
      { index: 1, field: 'account_id', message: 'there is no such account' },
      {
        index: 2,
        field: 'account_id',
        message: 'posts go out over unipile, and this account is of whatsapp_cloud',
      },
    ]);
    expect(await count()).toBe(0);
  });

  it('with a used key return the existing row, even if it was edited or cancelled', async () => {
    const id = await add({ idempotency_key: 'k' });
    await cancel(id);
    expect(await enqueue(post({ idempotency_key: 'k', scheduled_for: '2027-01-01T00:00:00Z' }))).toEqual({
      rows: [{ id, status: 'cancelled', created: false }],
    });
    const { rows } = await enqueue(post({ idempotency_key: 'new' }), post({ idempotency_key: 'new' }));
    expect(rows?.map(({ created }) => created)).toEqual([true, false]);
    expect(rows?.[0]?.id).toBe(rows?.[1]?.id);
  });

  it.each([
    ['body', { body: 'other' }],
    ['media', { media_urls: ['https://example.com/a.png'] }],
  ])(
    'with the key of a post with other %s are refused, against the table and within the call',
    async (_field, changes) => {
      await add({ idempotency_key: 'k' });
      const conflict = { field: 'idempotency_key', message: expect.stringMatching(/account, body or media/) };
      expect(await enqueue(post(), post({ idempotency_key: 'k', ...changes }))).toEqual({
        errors: [{ index: 1, ...conflict }],
      });
      const both = [post({ idempotency_key: 'l' }), post({ idempotency_key: 'l', ...changes })];
      expect(await enqueue(...both)).toEqual({
        errors: [
          { index: 0, ...conflict },
          { index: 1, ...conflict },
        ],
      });
      expect(await count()).toBe(1);
    },
  );
});

describe('an edit', () => {
  it('of a scheduled post changes the named fields, and the next claim has them', async () => {
    const id = await add({ media_urls: ['https://example.com/a.png'], expires_at: '2026-03-03T00:00:00Z' });
    const changes = { body: 'better', media_urls: [], expires_at: null, priority: 2 };
    expect(await update(id, changes)).toEqual({ ...(await read(id)), ...changes });
    expect(await claim()).toMatchObject([
      { id, row: { body: 'better', media_urls: [], expires_at: null, priority: 2 } },
    ]);
  });

  it.each([{ body: 'x' }, { priority: 3 }])('of %j leaves the other fields unchanged', async (changes) => {
    const id = await add({ media_urls: ['https://example.com/a.png'], expires_at: '2026-03-03T00:00:00Z' });
    const before = await read(id);
    expect(await update(id, changes)).toEqual({ ...before, ...changes });
  });

  it('of the time replaces the due time, even of a post that waits for a retry', async () => {
    const id = await addSettled('retry', { delay_seconds: 3_000 });
    await database.sql(`update punctual.posts set next_attempt_at = $1`, [sql.at(3_000)]);
    await update(id, { scheduled_for: sql.at(100) });
    expect(await claim()).toEqual([]);
    sql.pass(101);
    expect(await claim()).toMatchObject([{ id }]);
  });

  it('that postpones a post ends the wait of the posts behind it', async () => {
    const first = await addSettled('retry', { delay_seconds: 3_000 });
    const second = await add();
    expect(await claim()).toEqual([]);
    await update(first, { scheduled_for: sql.at(86_400) });
    expect(await claim()).toMatchObject([{ id: second }]);
  });

  it('that postpones a post without others behind it ends no wait for another post', async () => {
    const first = await addSettled('retry', { delay_seconds: 3_000 });
    await update(first, { scheduled_for: sql.at(86_400) });
    sql.pass(1);
    await addSettled('retry', { delay_seconds: 600 });
    await update(first, { scheduled_for: sql.at(90_000) });
    expect(await claim()).toEqual([]);
    await cancel(first);
    expect(await claim()).toEqual([]);
    sql.pass(601);
    expect(await claim()).toHaveLength(1);
  });

  it('that moves a post forward takes effect at the next tick', async () => {
    const id = await add({ scheduled_for: sql.at(86_400) });
    expect(await claim()).toEqual([]);
    await update(id, { scheduled_for: sql.now });
    expect(await claim()).toMatchObject([{ id }]);
  });

  it('of an unknown post is refused with PT404', async () => {
    for (const id of ['1', '999999999999999999', '9999999999999999999', 'x', '-1', '']) {
      await expect(update(id, { body: 'x' })).rejects.toMatchObject({ code: 'PT404' });
      await expect(cancel(id)).rejects.toMatchObject({ code: 'PT404' });
      await expect(read(id)).rejects.toMatchObject({ code: 'PT404' });
    }
  });
});

describe('a cancellation', () => {
  it('of a scheduled post is final and recorded in its history', async () => {
    const id = await add();
    expect(await cancel(id)).toEqual({ id, status: 'cancelled' });
    expect(await claim()).toEqual([]);
    expect(await sql.history(id)).toEqual([['decided', expect.stringMatching(/^Ann decided: cancel it/)]]);
    expect(await read(id)).toMatchObject({ status: 'cancelled', last_error: 'cancelled before it went out' });
  });

  it('of a post that waits for a retry ends the wait of the posts behind it', async () => {
    const first = await addSettled('retry', { delay_seconds: 3_000 });
    const second = await add();
    await cancel(first);
    expect(await claim()).toMatchObject([{ id: second }]);
  });
});

describe('an edit and a cancellation are refused', () => {
  const expectRefused = async (id: string, word: string) => {
    const before = await read(id);
    const calls = [
      () => update(id, { body: 'late' }),
      () => update(id, { scheduled_for: sql.at(9) }),
      () => cancel(id),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({ code: 'PT409', message: `the post is ${word}` });
    }
    expect(await read(id)).toEqual(before);
  };

  it('once the post is claimed', async () => {
    const id = await add();
    const running = tick();
    const { claimId } = await running.claim();
    await expectRefused(id, 'publishing');
    await running.settle([{ id, claim_id: claimId, outcome: 'done', result: { provider_post_id: 'p' } }]);
    await expectRefused(id, 'published');
  });

  it.each([
    ['dead', 'failed'],
    ['unknown', 'unknown'],
  ])('after the outcome %s', async (outcome, word) => {
    await expectRefused(await addSettled(outcome), word);
  });

  it('after a cancellation', async () => {
    const id = await add();
    await cancel(id);
    await expectRefused(id, 'cancelled');
  });

  it('or take effect, never both, when an edit and a claim run at once', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 12; n += 1)
      ids.push(await add({ account_id: await sql.addAccount(), body: 'before' }));
    const running = tick();
    const [claimed, ...edits] = await Promise.all([
      running.claim(),
      ...ids.map((id) =>
        update(id, { body: 'after' }).then(
          () => 'accepted',
          (error) => `${error.code} ${error.message}`,
        ),
      ),
    ]);
    await running.close();
    // The next tick claims the rows that this one skipped because an edit had locked them.
    const { rows: rest } = await tick().claim();
    const rows = [...claimed.rows, ...rest];
    expect(rows.map(({ id }) => id).sort()).toEqual([...ids].sort());
    for (const { id, row } of rows) {
      const edit = edits[ids.indexOf(id)];
      expect([row.body, edit]).toEqual(
        edit === 'accepted' ? ['after', 'accepted'] : ['before', 'PT409 the post is publishing'],
      );
      expect((await read(id)).body).toBe(row.body);
    }
  });
});

describe('a published post', () => {
  it('keeps its provider’s id and permalink, and the time of its publication', async () => {
    sql.pass(60);
    const result = { provider_post_id: 'urn:li:activity:1', permalink: 'https://example.com/1' };
    const id = await addSettled('done', { result });
    expect(await read(id)).toMatchObject({
      ...result,
      status: 'published',
      published_at: '2026-03-02T12:01:00+00:00',
    });
    expect((await read(id)).finished_at).toBe('2026-03-02T12:01:00+00:00');
  });

  it('keeps its permalink if a check found it', async () => {
    await addSettled('unknown');
    sql.pass(60);
    const proof = [{ message_id: 'urn:li:activity:1', result: { permalink: 'https://example.com/1' } }];
    const taken = await sql.takeUnknown({ queue: 'posts' });
    await sql.settleFindings(
      taken.map((one) => finding(one, { proof })),
      'posts',
    );
    expect(await database.sql('select status, provider_post_id, permalink from punctual.posts')).toEqual([
      { status: 'published', provider_post_id: 'urn:li:activity:1', permalink: 'https://example.com/1' },
    ]);
  });
});

describe('the check of an uncertain post', () => {
  const evidence = async () => {
    return (await sql.takeUnknown({ queue: 'posts' })).map((one) => one.evidence);
  };

  it('gets the account’s other posts that may be in its list', async () => {
    await addSettled('done', { result: { provider_post_id: 'old' } }, { body: 'too old' });
    sql.pass(26 * 3_600);
    await addSettled('done', { result: { provider_post_id: 'p1', permalink: 'l1' } }, { body: 'out' });
    await addSettled('dead', {}, { body: 'refused' });
    await cancel(await add({ body: 'cancelled' }));
    await add({ body: 'later', scheduled_for: sql.at(9_000) });
    const other = await sql.addAccount();
    await addSettled(
      'done',
      { result: { provider_post_id: 'p2' } },
      { body: 'somebody else', account_id: other },
    );
    await addSettled('unknown', {}, { body: 'the one' });
    sql.pass(60);
    expect(await evidence()).toEqual([
      [{ status: 'published', body: 'out', provider_post_id: 'p1', permalink: 'l1' }],
    ]);
  });

  it('gets a post that is being published, and another uncertain one', async () => {
    await addSettled('unknown', {}, { body: 'the one' });
    await addSettled('unknown', {}, { body: 'the other' });
    await add({ body: 'going out' });
    await claim();
    sql.pass(60);
    const going = { status: 'publishing', body: 'going out', provider_post_id: null, permalink: null };
    const unknown = (body: string) => ({ status: 'unknown', body, provider_post_id: null, permalink: null });
    expect(await evidence()).toEqual([
      [unknown('the other'), going],
      [unknown('the one'), going],
    ]);
  });

  it('gets null if there are none', async () => {
    await addSettled('unknown');
    sql.pass(60);
    expect(await evidence()).toEqual([null]);
  });
});
