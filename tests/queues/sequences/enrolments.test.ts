import { beforeEach, describe, expect, it, vi } from 'vitest';
import { endpoints as sequencesApi } from '../../../lib/api/sequences.ts';
import { endpoints as webhooksApi } from '../../../lib/api/webhooks.ts';
import { answered, apiRequest, withKey } from '../../support/api-server.ts';
import { perTestConversations, perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const {
  'POST /enrolments/:id/pause': PAUSE,
  'POST /enrolments/:id/reply': REPLY,
  'POST /enrolments/:id/resume': RESUME,
  'GET /enrolments/:id': GET_ONE,
  'POST /enrolments/:id/stop': STOP,
  'GET /enrolments': GET,
  'GET /replies': REPLIES,
} = sequencesApi;
const { 'POST /webhooks/unipile': UNIPILE } = webhooksApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

beforeEach(() => {
  vi.stubEnv('UNIPILE_WEBHOOK_SECRET', 'hook-secret');
  // The routes use the database's own time.
  sql.setNow(new Date().toISOString());
});

const one = (id: string) => ({ params: Promise.resolve({ id }) });
const list = (query: string) => answered(GET(apiRequest('GET', `/api/enrolments?${query}`)));
const read = (id: string) => answered(GET_ONE(apiRequest('GET', `/api/enrolments/${id}`), one(id)));
const post = (route: typeof PAUSE | typeof REPLY, id: string, body?: object) =>
  answered(route(apiRequest('POST', '/api/enrolments/x', withKey, body && JSON.stringify(body)), one(id)));
const replies = () => answered(REPLIES(apiRequest('GET', '/api/replies')));

/** Enrols Ann in a question and a message. */
const enrolAnn = () => talk.enrolAnn([{ kind: 'question', body: 'how?' }, { body: 'bye' }]);
/** Reports Ann's reply, as Unipile does. */
function webhook(more: object = {}) {
  const body = {
    event: 'message_received',
    message_id: 'm1',
    account_id: 'us',
    chat_id: 'chat-ann',
    message: 'fine',
    timestamp: new Date().toISOString(),
    account_info: { user_id: 'urn:us' },
    sender: { attendee_provider_id: 'ann' },
    ...more,
  };
  const headers = { 'unipile-auth': 'hook-secret' };
  return answered(UNIPILE(apiRequest('POST', '/api/webhooks/unipile', headers, JSON.stringify(body))));
}

describe('GET /api/enrolments', () => {
  it('lists enrolments, the newest first, by sequence and phase', async () => {
    const people = ['ann', 'bob', 'eve'].map((recipient) => ({ account_id: talk.account, recipient }));
    const sequence = await talk.addSequence([{ body: 'hello' }]);
    const [ann, bob, eve] = await talk.enrol(sequence, people);
    const other = await enrolAnn();
    await talk.call('stop_enrolment', { p_id: bob });
    const ids = async (query: string) =>
      (await list(query)).body.enrolments.map(({ id }: { id: string }) => id);
    expect(await ids('')).toEqual([other, eve, bob, ann]);
    expect(await ids(`sequence=${sequence}&phase=in_progress`)).toEqual([eve, ann]);
    expect((await list('phase=gone')).status).toBe(400);
  });

  it('returns one with its timeline', async () => {
    const id = await enrolAnn();
    expect(await read(id)).toMatchObject({
      status: 200,
      body: {
        id,
        account_name: 'A',
        recipient: 'ann',
        phase: 'in_progress',
        step: 1,
        steps: 2,
        timeline: [{ event: 'enrolled', step: null }],
      },
    });
  });
});

describe('POST /api/enrolments/:id/…', () => {
  it('pauses, resumes and stops, with or without a body, and returns 409 once the enrolment is over', async () => {
    const id = await enrolAnn();
    expect(await post(PAUSE, id)).toMatchObject({ status: 200, body: { paused_at: expect.any(String) } });
    expect(await post(RESUME, id, {})).toMatchObject({ status: 200, body: { paused_at: null } });
    const stopped = { phase: 'stopped', last_error: 'the API stopped it: bought' };
    expect(await post(STOP, id, { reason: 'bought' })).toMatchObject({ status: 200, body: stopped });
    expect(await post(STOP, id)).toMatchObject({ status: 200 });
    const error = { message: 'the enrolment is stopped' };
    for (const route of [PAUSE, RESUME])
      expect(await post(route, id)).toMatchObject({ status: 409, body: { error } });
  });

  it('returns 404 for an enrolment that does not exist, as does a read, and 422 for an invalid body', async () => {
    for (const id of ['99', 'x', '99999999999999999999']) {
      expect((await read(id)).status).toBe(404);
      for (const route of [PAUSE, RESUME, STOP, REPLY]) expect((await post(route, id, {})).status).toBe(404);
    }
    const id = await enrolAnn();
    expect((await post(PAUSE, id, { surprise: 1 })).status).toBe(422);
    expect((await post(REPLY, id, { receipt_id: '1', body: 'x' })).status).toBe(422);
    expect((await post(REPLY, id, { said_at: 'now' })).status).toBe(422);
    expect((await post(REPLY, id, { receipt_id: '99' })).status).toBe(404);
  });

  it('applies a reply, once for each message_id', async () => {
    const id = await enrolAnn();
    await talk.sendStep();
    const reply = { body: 'fine', message_id: 'm1' };
    const enrolment = { step: 2, last_reply: 'fine' };
    expect(await post(REPLY, id, reply)).toMatchObject({ status: 200, body: { applied: true, enrolment } });
    expect(await post(REPLY, id, reply)).toMatchObject({ status: 200, body: { applied: false } });
    expect(await webhook()).toMatchObject({ status: 200, body: { received: 1, new: 0 } });
    expect((await talk.events(id)).filter((event) => event.startsWith('replied'))).toHaveLength(1);
  });
});

describe('a webhook', () => {
  it('with a person’s message moves their enrolment on in the same call', async () => {
    const id = await enrolAnn();
    await talk.sendStep();
    expect(await webhook()).toMatchObject({ status: 200, body: { new: 1 } });
    expect((await read(id)).body).toMatchObject({ step: 2, phase: 'in_progress', last_reply: 'fine' });
    expect((await replies()).body).toEqual({ replies: [], next: null });
  });

  it('from an unknown person is kept without its text, and an operator can assign it to an enrolment', async () => {
    const id = await talk.enrolAnn([{ body: 'one' }]);
    await webhook({ sender: { attendee_provider_id: 'urn:x' }, chat_id: 'chat-x' });
    const [reply] = (await replies()).body.replies;
    expect(reply).toMatchObject({ account_name: 'A', chat_id: 'chat-x', recipient: 'urn:x', body: null });
    expect(await post(REPLY, id, { receipt_id: reply.id })).toMatchObject({
      status: 200,
      body: { applied: true, enrolment: { phase: 'replied' } },
    });
    expect((await replies()).body).toEqual({ replies: [], next: null });
  });
});
