import { beforeEach, describe, expect, it } from 'vitest';
import { answerApi } from '../../lib/api/answer-api.ts';
import { answered, apiRequest, cookie } from '../support/api-server.ts';
import { findText } from '../support/find-text.ts';
import { perTestConversations, perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const database = servedDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

beforeEach(() => sql.setNow(new Date().toISOString()));

/** Calls the API as Mira, who is signed in to the dashboard. */
async function call(method: string, url: string, body?: object) {
  const headers = { ...cookie('Mira'), origin: 'http://app.test' };
  const request = apiRequest(method, url, headers, body && JSON.stringify(body));
  const path = new URL(request.url).pathname.split('/').slice(2);
  const result = await answered(answerApi(request, path, {}));
  expect([result.status, result.body.error]).toEqual([expect.any(Number), undefined]);
  return result.body;
}

const acts = async (query = ''): Promise<Record<string, unknown>[]> =>
  (await call('GET', `/api/audit${query}`)).acts;

const addPost = async (more: object = {}): Promise<string> => {
  const { rows } = await talk.call('enqueue_posts', {
    p_rows: [{ account_id: talk.account, body: 'a secret text', ...more }],
  });
  return rows[0].id;
};

const step = { kind: 'message' as const, body: 'hello' };
const sequence = { name: 'Hello', channel: 'linkedin', steps: [step] };
const monitor = { name: 'shop', url: 'https://shop.example', headers: { authorization: 'hush' } };

/** What each does, and the act that it records. */
const cases: [name: string, run: () => Promise<unknown>, act: () => object | Promise<object>][] = [
  [
    'a decision about a row',
    async () => {
      const { id } = await sql.addUnknown(talk.account);
      await call('POST', `/api/queues/dm_queue/rows/${id}/resolve`, {
        decision: 'sent',
        note: 'I saw it',
      });
    },
    () => ({
      act: 'resolve_row',
      queue: 'dm_queue',
      target: '1',
      details: { was: 'unknown', decision: 'done' },
      note: 'I saw it',
    }),
  ],
  [
    'a cancelled job',
    async () => {
      await database.sql(`insert into punctual.jobs (name) values ('report')`);
      await call('DELETE', '/api/jobs/1');
    },
    () => ({
      act: 'resolve_row',
      queue: 'jobs',
      target: '1',
      details: { was: 'pending', decision: 'cancelled' },
    }),
  ],
  [
    'a changed account, with the fields that differ',
    () =>
      call('POST', '/api/accounts', {
        provider: 'unipile',
        provider_account_id: 'us',
        name: 'A',
        daily_limit: 7,
        gap_seconds: 60,
      }),
    () => ({
      act: 'save_account',
      queue: null,
      target: talk.account,
      details: {
        before: { daily_limit: 1000, gap_seconds: null },
        after: { daily_limit: 7, gap_seconds: 60 },
      },
    }),
  ],
  [
    'an ended refusal',
    async () => {
      await database.sql(
        `update punctual.providers set refusals = 3, paused_until = 'infinity' where name = 'unipile'`,
      );
      await database.sql(
        `insert into punctual.providers (name, refusals, paused_until) values ('unipile', 3, 'infinity') on conflict do nothing`,
      );
      await call('POST', '/api/refusals/end', { provider: 'unipile' });
    },
    () => ({ act: 'end_refusal', target: null, details: { provider: 'unipile' } }),
  ],
  [
    'a paused enrolment',
    async () => call('POST', `/api/enrolments/${await talk.enrolAnn([step])}/pause`),
    () => ({ act: 'pause_enrolment', queue: 'enrolments', target: '1', details: null }),
  ],
  [
    'a resumed enrolment',
    async () => {
      const id = await talk.enrolAnn([step]);
      await talk.call('pause_enrolment', { p_id: id, p_by: 'Ola' });
      await call('POST', `/api/enrolments/${id}/resume`);
    },
    () => ({ act: 'resume_enrolment', queue: 'enrolments', target: '1', details: { was: 'paused' } }),
  ],
  [
    'a stopped enrolment',
    async () => call('POST', `/api/enrolments/${await talk.enrolAnn([step])}/stop`, { reason: 'bought' }),
    () => ({ act: 'stop_enrolment', queue: 'enrolments', target: '1', note: 'bought' }),
  ],
  [
    'a new sequence',
    () => call('POST', '/api/sequences', sequence),
    () => ({ act: 'create_sequence', target: '1', details: { name: 'Hello' } }),
  ],
  [
    'a changed sequence',
    async () => {
      await talk.addSequence([step], { name: 'Hello' });
      await call('PATCH', '/api/sequences/1', {
        name: 'Welcome',
        steps: [{ ...step, body: 'a secret text' }],
      });
    },
    () => ({
      act: 'change_sequence',
      target: '1',
      details: { before: { name: 'Hello', version: 1 }, after: { name: 'Welcome', version: 2 } },
    }),
  ],
  [
    'new monitors',
    () => call('POST', '/api/monitors', { ...monitor, url: 'http://93.184.215.14' }),
    () => ({ act: 'create_monitors', queue: 'monitors', target: null, details: { ids: ['1'] } }),
  ],
  [
    'a changed monitor, without its headers',
    async () => {
      await talk.call('create_monitors', { p_rows: [monitor], p_by: 'Ola' });
      await call('PATCH', '/api/monitors/1', { is_active: false, headers: { authorization: 'hushed' } });
    },
    () => ({
      act: 'change_monitor',
      queue: 'monitors',
      target: '1',
      details: {
        before: { headers: null, is_active: true },
        after: { headers: 'changed', is_active: false },
      },
    }),
  ],
  [
    'a changed monitor whose headers stay',
    async () => {
      await talk.call('create_monitors', { p_rows: [monitor], p_by: 'Ola' });
      await call('PATCH', '/api/monitors/1', { is_active: false });
    },
    () => ({
      act: 'change_monitor',
      queue: 'monitors',
      target: '1',
      details: { before: { is_active: true }, after: { is_active: false } },
    }),
  ],
  [
    'a deleted monitor',
    async () => {
      await talk.call('create_monitors', { p_rows: [monitor], p_by: 'Ola' });
      await call('DELETE', '/api/monitors/1');
    },
    () => ({ act: 'delete_monitor', queue: 'monitors', target: '1', details: { name: 'shop' } }),
  ],
  [
    'a region',
    () => call('POST', '/api/regions', { name: 'office', unseen_seconds: 60 }),
    () => ({
      act: 'save_region',
      queue: 'monitors',
      target: 'office',
      details: { before: null, after: expect.objectContaining({ name: 'office', unseen_seconds: 60 }) },
    }),
  ],
  [
    'a removed region',
    async () => {
      await talk.call('save_region', { p_region: { name: 'office' }, p_by: 'Ola' });
      await call('DELETE', '/api/regions/office');
    },
    () => ({ act: 'remove_region', queue: 'monitors', target: 'office', details: { moved: 0 } }),
  ],
  [
    'a changed post, without its text',
    async () => call('PATCH', `/api/posts/${await addPost()}`, { body: 'another secret text', priority: 3 }),
    () => ({
      act: 'change_post',
      queue: 'posts',
      target: '1',
      details: { before: { body: null, priority: 1 }, after: { body: 'changed', priority: 3 } },
    }),
  ],
  [
    'a cancelled post',
    async () => call('DELETE', `/api/posts/${await addPost()}`),
    () => ({
      act: 'resolve_row',
      queue: 'posts',
      target: '1',
      details: { was: 'pending', decision: 'cancelled' },
    }),
  ],
  [
    'a forgotten person, without the name',
    async () => {
      await sql.addDm(talk.account, { recipient: 'secret-person', chat_id: null });
      await call('POST', '/api/people/forget', { recipient: 'secret-person' });
    },
    () => ({ act: 'forget_person', target: null, details: { enrolments: 0, messages: 1, receipts: 0 } }),
  ],
];

describe('the audit', () => {
  it.each(cases)('records %s once, with the name of the person', async (_label, run, act) => {
    await run();
    const mine = await acts('?by=Mira');
    expect(mine).toEqual([
      {
        id: expect.any(String),
        at: expect.any(String),
        by: 'Mira',
        queue: null,
        details: null,
        note: expect.toBeOneOf([null, expect.any(String)]),
        ...(await act()),
      },
    ]);
    expect((await findText(database, 'secret')).filter((place) => place.startsWith('audit'))).toEqual([]);
    expect((await findText(database, 'hush')).filter((place) => place.startsWith('audit'))).toEqual([]);
  });

  it('records nothing if nothing changed', async () => {
    const id = await addPost();
    await call('PATCH', `/api/posts/${id}`, { priority: 1, body: 'a secret text' });
    await call('POST', '/api/accounts', { provider: 'unipile', provider_account_id: 'us', name: 'A' });
    const enrolment = await talk.enrolAnn([step]);
    await call('POST', `/api/enrolments/${enrolment}/resume`);
    expect(await acts()).toEqual([expect.objectContaining({ act: 'create_sequence' })]);
  });

  it('records no call that only creates rows', async () => {
    await call('POST', '/api/dms', {
      account_id: talk.account,
      channel: 'linkedin',
      chat_id: 'c',
      body: 'hi',
    });
    await call('POST', '/api/posts', { account_id: talk.account, body: 'hi' });
    expect(await acts()).toEqual([]);
  });

  it('lists acts by queue and by person, in pages, the latest first', async () => {
    for (const [n, by] of ['Ola', 'Mira', 'Ola', 'Mira'].entries()) {
      const queue = n < 2 ? 'posts' : 'jobs';
      await database.sql(`select punctual.note_act($1, 'test', $2, $3, null, null, now())`, [
        by,
        queue,
        `t${n}`,
      ]);
    }
    const targets = async (query: string) => (await acts(query)).map(({ target }) => target);
    expect(await targets('')).toEqual(['t3', 't2', 't1', 't0']);
    expect(await targets('?queue=posts')).toEqual(['t1', 't0']);
    expect(await targets('?queue=posts&by=Ola')).toEqual(['t0']);
    const { next } = await call('GET', '/api/audit?by=Ola&limit=1');
    expect(await targets(`?by=Ola&limit=1&cursor=${next}`)).toEqual(['t0']);
  });
});
