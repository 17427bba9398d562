import { beforeEach, describe, expect, it } from 'vitest';
import { finding } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ name: 'Ann' });
});

const hour = 3_600;
const picture = 'https://example.com/a.png';
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const call = (fn: string, args: object) => database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;
const tick = () => sql.tick({ queue: 'posts', providers: ['unipile'] });
/** Returns the rows that a tick of its own claims. */
async function claim() {
  const running = tick();
  const { rows } = await running.claim();
  await running.close();
  return rows;
}
const post = (changes: object = {}) => ({ account_id: account, body: 'hello', ...changes });
const enqueue = (...p_rows: object[]) => call('enqueue_posts', { p_rows });
const add = async (changes: object = {}): Promise<string> => (await enqueue(post(changes))).rows[0].id;
const update = (p_id: string, p_changes: object) => call('update_post', { p_id, p_changes });
const cancel = (p_id: string) => call('cancel_post', { p_id, p_by: 'Ann' });
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const read = (p_id: string) => database.rpc('read_post', { p_id }) as Promise<any>;
const count = async () => (await database.sql('select count(*)::integer as n from punctual.posts'))[0].n;

/** Adds a post, and settles its attempt with `outcome` and the fields of `more`. Returns its id. */
async function addSettled(outcome: string, more: object = {}, changes: object = {}): Promise<string> {
  const id = await add(changes);
  const running = tick();
  const { claimId } = await running.claim();
  await running.settle([{ id, claim_id: claimId, outcome, error: 'e', ...more }], { close: true });
  return id;
}
const addRetrying = () => addSettled('retry', { delay_seconds: 3_000 });

describe('posts that are enqueued', () => {
  it('are scheduled, for now unless they name a time, and keep all their fields', async () => {
    const full = {
      media_urls: [picture, 'https://example.com/b.png'],
      scheduled_for: '2026-07-01T07:30:00+00:00',
      priority: 0,
      expires_at: '2026-07-02T07:30:00+00:00',
    };
    const { rows } = await enqueue(post(), post(full));
    const scheduled = { status: 'scheduled', created: true };
    expect(rows).toMatchObject([scheduled, scheduled]);
    const nothing = { published_at: null, provider_post_id: null, permalink: null, attempts: 0 };
    const defaults = { media_urls: [], scheduled_for: '2026-03-02T12:00:00+00:00', priority: 1 };
    expect(await read(rows[0].id)).toMatchObject({ ...post(), status: 'scheduled', ...defaults, ...nothing });
    expect(await read(rows[1].id)).toMatchObject(full);
  });

  it('are refused for an account that does not exist or is of another provider', async () => {
    const whatsapp = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const nobody = crypto.randomUUID();
    const message = 'posts go out over unipile, and this account is of whatsapp_cloud';
    expect(await enqueue(post(), post({ account_id: nobody }), post({ account_id: whatsapp }))).toEqual({
      errors: [
        { index: 1, field: 'account_id', message: 'there is no such account' },
        { index: 2, field: 'account_id', message },
      ],
    });
    expect(await count()).toBe(0);
  });

  it('with a used key return the existing row, even if it was cancelled', async () => {
    const id = await add({ idempotency_key: 'k' });
    await cancel(id);
    expect(await enqueue(post({ idempotency_key: 'k', scheduled_for: '2027-01-01T00:00:00Z' }))).toEqual({
      rows: [{ id, status: 'cancelled', created: false }],
    });
    const { rows } = await enqueue(post({ idempotency_key: 'new' }), post({ idempotency_key: 'new' }));
    expect(rows[1]).toEqual({ ...rows[0], created: false });
  });

  it.each([{ body: 'other' }, { media_urls: [picture] }])(
    'with the key of another post but %j are refused, against the table and within the call',
    async (changes) => {
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
  it.each([
    { body: 'better', media_urls: [], expires_at: null, priority: 2 },
    { body: 'x' },
    { priority: 3 },
  ])('%j changes the named fields only, and the next claim has them', async (changes) => {
    const id = await add({ media_urls: [picture], expires_at: '2026-03-03T00:00:00Z' });
    const edited = { ...(await read(id)), ...changes };
    expect(await update(id, changes)).toEqual(edited);
    expect(await claim()).toMatchObject([{ id, row: changes }]);
  });

  it('of the time replaces the due time, even of a post that waits for a retry', async () => {
    const id = await addRetrying();
    await database.sql(`update punctual.posts set next_attempt_at = $1`, [sql.at(3_000)]);
    await update(id, { scheduled_for: sql.at(100) });
    expect(await claim()).toEqual([]);
    sql.pass(101);
    expect(await claim()).toMatchObject([{ id }]);
  });

  it('that postpones a post without others behind it ends no wait for another post', async () => {
    const first = await addRetrying();
    await update(first, { scheduled_for: sql.at(24 * hour) });
    sql.pass(1);
    await addSettled('retry', { delay_seconds: 600 });
    await update(first, { scheduled_for: sql.at(25 * hour) });
    expect(await claim()).toEqual([]);
    await cancel(first);
    expect(await claim()).toEqual([]);
    sql.pass(601);
    expect(await claim()).toHaveLength(1);
  });

  it('that moves a post forward takes effect at the next tick', async () => {
    const id = await add({ scheduled_for: sql.at(24 * hour) });
    expect(await claim()).toEqual([]);
    await update(id, { scheduled_for: sql.now });
    expect(await claim()).toMatchObject([{ id }]);
  });

  it.each(['1', '999999999999999999', '9999999999999999999', 'x', '-1', ''])(
    'of the unknown post "%s" is refused with PT404',
    async (id) => {
      for (const act of [() => update(id, { body: 'x' }), () => cancel(id), () => read(id)])
        await expect(act()).rejects.toMatchObject({ code: 'PT404' });
    },
  );
});

describe('a post that waits for a retry', () => {
  it.each([
    ['postponed', (id: string) => update(id, { scheduled_for: sql.at(24 * hour) })],
    ['cancelled', cancel],
  ])('ends the wait of the posts behind it when it is %s', async (_act, act) => {
    const first = await addRetrying();
    const second = await add();
    expect(await claim()).toEqual([]);
    await act(first);
    expect(await claim()).toMatchObject([{ id: second }]);
  });
});

describe('an edit and a cancellation', () => {
  const publish = { result: { provider_post_id: 'p' } };
  it.each([
    ['publishing', () => claimOne()],
    ['published', () => addSettled('done', publish)],
    ['failed', () => addSettled('dead')],
    ['unknown', () => addSettled('unknown')],
    ['cancelled', async () => (await cancel(await add())).id],
  ])('are refused once the post is %s', async (status, make) => {
    const id = await make();
    const before = await read(id);
    for (const act of [
      () => update(id, { body: 'late' }),
      () => update(id, { scheduled_for: sql.at(9) }),
      () => cancel(id),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'PT409', message: `the post is ${status}` });
    expect(await read(id)).toEqual(before);
  });

  async function claimOne(): Promise<string> {
    const id = await add();
    await tick().claim();
    return id;
  }

  it('are final, and a cancellation is recorded in the history', async () => {
    const id = await add();
    expect(await cancel(id)).toEqual({ id, status: 'cancelled' });
    expect(await claim()).toEqual([]);
    expect(await sql.history(id)).toEqual([['decided', expect.stringMatching(/^Ann decided: cancel it/)]]);
    expect(await read(id)).toMatchObject({ status: 'cancelled', last_error: 'cancelled before it went out' });
  });

  it('take effect or are refused, never both, when an edit and a claim run at once', async () => {
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
    const rows = [...claimed.rows, ...(await tick().claim()).rows];
    expect(rows.map(({ id }) => id).sort()).toEqual([...ids].sort());
    for (const { id, row } of rows) {
      const edit = edits[ids.indexOf(id)];
      const expected = edit === 'accepted' ? ['after', edit] : ['before', 'PT409 the post is publishing'];
      expect([row.body, edit]).toEqual(expected);
      expect((await read(id)).body).toBe(row.body);
    }
  });
});

describe('a published post', () => {
  const link = { permalink: 'https://example.com/1' };
  it('keeps its provider’s id and permalink, and the time of its publication', async () => {
    sql.pass(60);
    const result = { provider_post_id: 'urn:li:activity:1', ...link };
    const id = await addSettled('done', { result });
    const at = '2026-03-02T12:01:00+00:00';
    const published = { ...result, status: 'published', published_at: at, finished_at: at };
    expect(await read(id)).toMatchObject(published);
  });

  it('keeps its permalink if a check found it', async () => {
    const id = await addSettled('unknown');
    sql.pass(60);
    const proof = [{ message_id: 'urn:li:activity:1', result: link }];
    const taken = await sql.takeUnknown({ queue: 'posts' });
    const findings = taken.map((one) => finding(one, { proof }));
    await sql.settleFindings(findings, 'posts');
    const published = { status: 'published', provider_post_id: 'urn:li:activity:1', ...link };
    expect(await read(id)).toMatchObject(published);
  });
});

describe('the check of an uncertain post', () => {
  const evidence = async () => {
    sql.pass(60);
    return (await sql.takeUnknown({ queue: 'posts' })).map((one) => one.evidence);
  };
  const published = (provider_post_id: string, permalink?: string) => ({
    result: { provider_post_id, permalink },
  });
  const unpublished = (status: string, body: string) => ({
    status,
    body,
    provider_post_id: null,
    permalink: null,
  });

  it('gets the account’s other posts that may be in its list', async () => {
    await addSettled('done', published('old'), { body: 'too old' });
    sql.pass(26 * hour);
    await addSettled('done', published('p1', 'l1'), { body: 'out' });
    await addSettled('dead', {}, { body: 'refused' });
    await cancel(await add({ body: 'cancelled' }));
    await add({ body: 'later', scheduled_for: sql.at(9_000) });
    await addSettled('done', published('p2'), { body: 'another’s', account_id: await sql.addAccount() });
    await addSettled('unknown', {}, { body: 'the one' });
    expect(await evidence()).toEqual([
      [{ status: 'published', body: 'out', provider_post_id: 'p1', permalink: 'l1' }],
    ]);
  });

  it('gets a post that is being published, and another uncertain one', async () => {
    await addSettled('unknown', {}, { body: 'the one' });
    await addSettled('unknown', {}, { body: 'the other' });
    await add({ body: 'going out' });
    await claim();
    const going = unpublished('publishing', 'going out');
    expect(await evidence()).toEqual([
      [unpublished('unknown', 'the other'), going],
      [unpublished('unknown', 'the one'), going],
    ]);
  });

  it('gets null if there are none', async () => {
    await addSettled('unknown');
    expect(await evidence()).toEqual([null]);
  });
});
