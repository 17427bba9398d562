import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const textOf = async (text: string) =>
  (await database.sql('select punctual.error_text($1) as text', [text]))[0].text;
const groupOf = async (text: string) =>
  (await database.sql('select punctual.error_group($1) as id', [text]))[0].id;

interface Group {
  [field: string]: unknown;
  id: string;
  hours: number[];
}
async function list(more: object = {}): Promise<{ items: Group[]; next: unknown }> {
  const call = { p_queue: 'dm_queue', p_limit: 50, p_cursor: null, p_now: sql.now, ...more };
  return (await database.rpc('list_error_groups', call)) as { items: Group[]; next: unknown };
}
const read = (id: string) =>
  database.rpc('read_error_group', { p_queue: 'dm_queue', p_id: id, p_now: sql.now });
const mark = (id: string, known: boolean, note?: string) =>
  database.rpc('mark_error_group', {
    p_queue: 'dm_queue',
    p_id: id,
    p_known: known,
    p_by: 'Mira',
    p_note: note ?? null,
    p_now: sql.now,
  });

/** Adds a message and lets its attempt fail. Returns its id. */
async function fail(
  error: string,
  { outcome = 'dead', by = account, ...more }: Record<string, unknown> = {},
) {
  const id = await sql.addDm(by as string, { body: 'for Bob' });
  const tick = sql.tick();
  const { claimId: claim_id } = await tick.claim(1);
  const record = {
    id,
    claim_id,
    outcome: String(outcome),
    error,
    account_id: by,
    delay_seconds: 1,
    kind: 'rejected',
    ...more,
  };
  await tick.settle([record], { close: true });
  return id;
}

describe('the text of an error', () => {
  it.each([
    ['no answer within 15000 ms', 'no answer within # ms'],
    [
      'unipile answered 422 (errors/invalid_recipient): ACoAAB12 is unknown',
      'unipile answered 422 (errors/invalid_recipient): # is unknown',
    ],
    [
      'whatsapp-cloud answered 400 (131026): Message 77 undeliverable',
      'whatsapp-cloud answered 400 (131026): Message # undeliverable',
    ],
    ['job 9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d failed', 'job # failed'],
    ['the shop responded with status 503 after 7 tries', 'the shop responded with status 503 after # tries'],
    [
      'GET https://shop.example/orders/17?token=abc returned nothing',
      'GET https://shop.example# returned nothing',
    ],
    ['cannot write to ada.lovelace+x@example.test now', 'cannot write to # now'],
    ['the text "Hello Ada" is too long', 'the text # is too long'],
    ["can't open 'a b', won't try", "can't open #, won't try"],
    ['since 2026-03-02T12:00:00.123Z  it\nfails', 'since # it fails'],
    ['the year 2026: 1.5 of 10.0.0.1:80, done', 'the year #: # of #, done'],
  ])('of %j is %j', async (text, expected) => {
    expect(await textOf(text)).toBe(expected);
  });

  it('separates errors by the provider’s status and code, and joins those that differ in ids', async () => {
    const one = await groupOf('whatsapp-cloud answered 400 (131026): Message 77 undeliverable');
    expect(await groupOf('whatsapp-cloud answered 400 (131026): Message 78 undeliverable')).toBe(one);
    expect(await groupOf('whatsapp-cloud answered 400 (131027): Message 77 undeliverable')).not.toBe(one);
    expect(await groupOf('whatsapp-cloud answered 500 (131026): Message 77 undeliverable')).not.toBe(one);
    expect(one).toMatch(/^[0-9a-f]{8}$/);
    expect((await database.sql('select punctual.error_group(null) as id'))[0].id).toBeNull();
  });
});

describe('error groups', () => {
  it('are the groups of the rows’ last errors, with counts of rows, events and accounts', async () => {
    const other = await sql.addAccount();
    await fail('unipile answered 422 (e): nobody 12', { code: 'e' });
    sql.pass(7_200);
    await fail('unipile answered 422 (e): nobody 13', { by: other });
    sql.pass(60);
    await fail('no answer', { outcome: 'retry', kind: 'timeout' });
    const { items } = await list();
    expect(items).toMatchObject([
      { kind: 'timeout', text: 'no answer', rows_dead: 0, events_24h: 1, accounts: 1 },
      {
        ...{ kind: 'rejected', code: 'e', text: 'unipile answered 422 (e): nobody #', state: 'new' },
        ...{ rows_dead: 2, rows_dead_more: false, events_24h: 2, accounts: 2 },
        ...{ first_at: '2026-03-02T12:00:00+00:00', last_at: '2026-03-02T14:00:00+00:00', known_at: null },
      },
    ]);
    expect(items[1]?.hours).toEqual([...Array(21).fill(0), 1, 0, 1].slice(-24));
    expect(items[1]?.hours).toHaveLength(24);
    const rows = await database.sql(
      'select distinct punctual.error_group(last_error) as id from punctual.dm_queue order by 1',
    );
    expect(rows.map(({ id }) => String(id)).sort()).toEqual(items.map(({ id }) => id).sort());
  });

  it('come with errors of sweeps, receipts and expiry, and not with decisions of people', async () => {
    const id = await fail('x', { outcome: 'unknown' });
    await sql.resolve(id, 'failed', 'Bob left');
    await sql.addDm(account, { expires_at: sql.at(-1) });
    await sql.tick().exchange({ want: 1, close: true });
    const texts = (await list()).items.map(({ text }) => text);
    expect(texts.sort()).toEqual(['expired before it could start', 'x']);
  });

  it('are one row each, however many errors come and from however many ticks', async () => {
    for (let n = 0; n < 3; n++) await fail(`refused ${n}`);
    const [group] = await database.sql('select * from punctual.error_groups');
    expect(group).toMatchObject({ queue: 'dm_queue', text: 'refused #', kind: 'rejected' });
    expect(await database.sql('select count(*)::integer as n from punctual.error_groups')).toEqual([
      { n: 1 },
    ]);
    expect((await list()).items).toMatchObject([{ rows_dead: 3, events_24h: 3 }]);
  });

  it('are new, known once a person marked them, and gone a day after their last event', async () => {
    await fail('refused');
    const [{ id } = { id: '' }] = (await list()).items;
    expect(await mark(id, true, 'ticket 7')).toMatchObject({ id, known_by: 'Mira', known_note: 'ticket 7' });
    expect((await list()).items).toMatchObject([
      { state: 'known', known_by: 'Mira', known_note: 'ticket 7' },
    ]);
    expect(await mark(id, false)).toMatchObject({ known_at: null, known_by: null, known_note: null });
    expect((await list()).items).toMatchObject([{ state: 'new' }]);
    sql.pass(86_400);
    expect((await list()).items).toMatchObject([{ state: 'gone', events_24h: 0, rows_dead: 1 }]);
    await fail('refused');
    expect((await list()).items).toMatchObject([{ state: 'new' }]);
    await expect(mark('00000000', true)).rejects.toMatchObject({ code: 'PT404' });
  });

  it('have samples of three rows, with the provider’s answer', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) {
      sql.pass(1);
      ids.push(await fail(`refused ${n}`, { code: '400', answer: `{"n":${n}}` }));
    }
    const [{ id, ...group } = { id: '' }] = (await list()).items;
    expect(group).toMatchObject({ text: 'refused #', example: 'refused 3' });
    const { samples } = (await read(id)) as { samples: object[] };
    expect(samples).toHaveLength(3);
    expect(samples[0]).toMatchObject({
      ...{ id: ids[3], event: 'dead', code: '400', text: 'refused 3', answer: '{"n":3}' },
      account: { id: account, name: 'A' },
    });
    await expect(read('00000000')).rejects.toMatchObject({ code: 'PT404' });
  });

  it('come page by page, the latest seen first', async () => {
    for (const text of ['one', 'two', 'three']) {
      sql.pass(60);
      await fail(text);
    }
    sql.pass(60);
    await fail('one');
    const first = await list({ p_limit: 2 });
    expect(first.items.map(({ text }) => text)).toEqual(['one', 'three']);
    const second = await list({ p_limit: 2, p_cursor: first.next });
    expect(second.items.map(({ text }) => text)).toEqual(['two']);
    expect(second.next).toBeNull();
  });

  it('are deleted once no event of them is left, unless a person marked them', async () => {
    await fail('one');
    await fail('two');
    const { items } = await list();
    await mark(items.find(({ text }) => text === 'two')?.id ?? '', true);
    sql.pass(40 * 86_400);
    await sql.rollUp();
    await database.rpc('prune', { p_now: sql.now });
    expect((await database.sql('select text from punctual.error_groups')).map(({ text }) => text)).toEqual([
      'two',
    ]);
  });
});
