import { beforeEach, describe, expect, it, vi } from 'vitest';
import { POST as PAUSE } from '../../../app/api/enrolments/[id]/pause/route.ts';
import { POST as REPLY } from '../../../app/api/enrolments/[id]/reply/route.ts';
import { POST as RESUME } from '../../../app/api/enrolments/[id]/resume/route.ts';
import { GET as GET_ONE } from '../../../app/api/enrolments/[id]/route.ts';
import { POST as STOP } from '../../../app/api/enrolments/[id]/stop/route.ts';
import { GET } from '../../../app/api/enrolments/route.ts';
import { GET as REPLIES } from '../../../app/api/replies/route.ts';
import { POST as UNIPILE } from '../../../app/api/webhooks/unipile/route.ts';
import { answered, apiRequest, stubSecrets, withKey } from '../../support/api-server.ts';
import { conversations } from '../../support/conversations.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const database = servedDatabase();
const sql = perTestExchanges(database);
let talk: ReturnType<typeof conversations>;
let account: string;

beforeEach(async () => {
  vi.stubEnv('UNIPILE_WEBHOOK_SECRET', 'hook-secret');
  // The routes use the database's own time.
  sql.setNow(new Date().toISOString());
  talk = conversations(database, sql);
  account = await sql.addAccount({ name: 'Ann', provider_account_id: 'us' });
});

const one = (id: string) => ({ params: Promise.resolve({ id }) });
const list = (query: string, headers = withKey) =>
  answered(GET(apiRequest('GET', `/api/enrolments?${query}`, headers)));
const read = (id: string, headers = withKey) =>
  answered(GET_ONE(apiRequest('GET', `/api/enrolments/${id}`, headers), one(id)));
type Route = typeof PAUSE;
const post = (route: Route, id: string, body?: unknown, headers = withKey) =>
  answered(
    route(
      apiRequest(
        'POST',
        `/api/enrolments/${id}`,
        headers,
        body === undefined ? undefined : JSON.stringify(body),
      ),
      one(id),
    ),
  );
const replies = (query = '') => answered(REPLIES(apiRequest('GET', `/api/replies?${query}`)));

const question = { kind: 'question' as const, body: 'how?' };
async function enrol(
  names: string[],
  steps: Parameters<typeof talk.addSequence>[0] = [question, { body: 'bye' }],
) {
  const sequence = await talk.addSequence(steps);
  const ids = await talk.enrol(
    sequence,
    names.map((recipient) => ({ account_id: account, recipient })),
  );
  return { sequence, ids };
}
const received = (more: object = {}) => ({
  event: 'message_received',
  message_id: 'm1',
  account_id: 'us',
  chat_id: 'chat-ann',
  message: 'fine',
  timestamp: new Date().toISOString(),
  account_info: { user_id: 'urn:us' },
  sender: { attendee_provider_id: 'ann' },
  ...more,
});
const webhook = (body: object) =>
  answered(
    UNIPILE(
      new Request('http://app.test/api/webhooks/unipile', {
        method: 'POST',
        headers: { 'unipile-auth': 'hook-secret' },
        body: JSON.stringify(body),
      }),
    ),
  );

describe('GET /api/enrolments', () => {
  it('lists enrolments, the newest first, by sequence and phase, page by page', async () => {
    const { sequence, ids } = await enrol(['ann', 'bob', 'eve']);
    await enrol(['joe']);
    await talk.call('stop_enrolment', { p_id: ids[1] });
    const idsOf = ({ body }: { body: { enrolments: { id: string }[] } }) =>
      body.enrolments.map(({ id }) => id);
    expect(idsOf(await list(''))).toEqual(['4', '3', '2', '1']);
    expect(idsOf(await list(`sequence=${sequence}&phase=in_progress`))).toEqual([ids[2], ids[0]]);
    const first = await list('limit=1');
    expect(idsOf(first)).toEqual(['4']);
    expect(idsOf(await list(`cursor=${first.body.next}&limit=2`))).toEqual(['3', '2']);
    for (const query of ['phase=gone', 'limit=0', 'limit=201', 'cursor=x', 'state=x']) {
      expect((await list(query)).status, query).toBe(400);
    }
    expect((await list('', {})).status).toBe(401);
  });

  it('returns one with its timeline', async () => {
    const { ids } = await enrol(['ann']);
    expect(await read(ids[0] ?? '')).toMatchObject({
      status: 200,
      body: {
        id: ids[0],
        account_name: 'Ann',
        recipient: 'ann',
        phase: 'in_progress',
        step: 1,
        steps: 2,
        timeline: [{ event: 'enrolled', step: null }],
      },
    });
    for (const id of ['99', 'x', '99999999999999999999']) expect((await read(id)).status, id).toBe(404);
  });
});

describe('an open dashboard', () => {
  it('reads enrolments without a key, and does not change them', async () => {
    const { ids } = await enrol(['ann']);
    const [id = ''] = ids;
    stubSecrets({ password: '' });
    vi.stubEnv('NODE_ENV', 'development');
    expect((await list('', {})).status).toBe(200);
    expect((await read(id, {})).status).toBe(200);
    expect((await post(STOP, id, {}, {})).status).toBe(401);
  });
});

describe('POST /api/enrolments/:id/…', () => {
  it('pauses, resumes and stops, with or without a body, and returns 409 once the enrolment is over', async () => {
    const { ids } = await enrol(['ann']);
    const [id = ''] = ids;
    expect(await post(PAUSE, id)).toMatchObject({ status: 200, body: { paused_at: expect.any(String) } });
    expect(await post(RESUME, id, {})).toMatchObject({ status: 200, body: { paused_at: null } });
    expect(await post(STOP, id, { reason: 'bought' })).toMatchObject({
      status: 200,
      body: { phase: 'stopped', last_error: 'the API stopped it: bought' },
    });
    expect(await post(STOP, id)).toMatchObject({ status: 200 });
    expect(await post(PAUSE, id)).toMatchObject({
      status: 409,
      body: { error: { message: 'the enrolment is stopped' } },
    });
    expect((await post(RESUME, id)).status).toBe(409);
    expect((await post(PAUSE, id, { surprise: 1 })).status).toBe(422);
    for (const route of [PAUSE, RESUME, STOP, REPLY]) {
      expect((await post(route, '99', {})).status).toBe(404);
      expect((await post(route, id, {}, {})).status).toBe(401);
    }
  });

  it('applies a reply, once for each message_id', async () => {
    const { ids } = await enrol(['ann']);
    const [id = ''] = ids;
    await talk.advance();
    await talk.send();
    const reply = { body: 'fine', message_id: 'm1' };
    expect(await post(REPLY, id, reply)).toMatchObject({
      status: 200,
      body: { applied: true, enrolment: { step: 2, last_reply: 'fine' } },
    });
    expect(await post(REPLY, id, reply)).toMatchObject({ status: 200, body: { applied: false } });
    expect(await webhook(received())).toMatchObject({ status: 200, body: { received: 1, new: 0 } });
    expect(
      (await read(id)).body.timeline.filter(({ event }: { event: string }) => event === 'replied'),
    ).toHaveLength(1);
    expect((await post(REPLY, id, { receipt_id: '1', body: 'x' })).status).toBe(422);
    expect((await post(REPLY, id, { said_at: 'now' })).status).toBe(422);
    expect((await post(REPLY, id, { receipt_id: '99' })).status).toBe(404);
  });
});

describe('a webhook', () => {
  it('with a person’s message moves their enrolment on in the same call', async () => {
    const { ids } = await enrol(['ann']);
    await talk.advance();
    await talk.send();
    expect(await webhook(received())).toMatchObject({ status: 200, body: { new: 1 } });
    expect((await read(ids[0] ?? '')).body).toMatchObject({
      step: 2,
      phase: 'in_progress',
      last_reply: 'fine',
    });
    expect((await replies()).body).toEqual({ replies: [], next: null });
  });

  it('from an unknown person is kept without its text, and an operator can assign it to an enrolment', async () => {
    const { ids } = await enrol(['ann'], [{ body: 'one' }]);
    await webhook(received({ sender: { attendee_provider_id: 'urn:x' }, chat_id: 'chat-x' }));
    const { body } = await replies('limit=5');
    expect(body.replies).toMatchObject([
      { account_name: 'Ann', chat_id: 'chat-x', recipient: 'urn:x', body: null },
    ]);
    const assigned = await post(REPLY, ids[0] ?? '', { receipt_id: body.replies[0].id });
    expect(assigned).toMatchObject({ status: 200, body: { applied: true, enrolment: { phase: 'replied' } } });
    expect((await replies()).body).toEqual({ replies: [], next: null });
    expect((await replies('limit=x')).status).toBe(400);
  });
});
