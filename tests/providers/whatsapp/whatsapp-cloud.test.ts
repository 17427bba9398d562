import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { whatsappCloud } from '../../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../sandbox/shapes/whatsapp-shape.ts';
import { httpAnswer, loopback } from '../../net/loopback.ts';

const net = loopback();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());
afterEach(() => net.closeAll());

const apiVersion = 'v23.0';
const client = (accessToken = SANDBOX_ACCESS_TOKEN) =>
  whatsappCloud({ accessToken, apiVersion, baseUrl: sandbox.url });
const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);
const message = (text: string, to = '+4915100000001') => ({
  phoneNumberId: '1001',
  to,
  text,
  reference: 'row-7',
});

/** Sends a text to a server that responds with `status` and `body`. Returns the call and the raw request. */
async function respondingWith(status: number, body: unknown) {
  let raw = '';
  const baseUrl = await net.answering((socket, sent) => {
    raw = sent;
    socket.end(httpAnswer(status, JSON.stringify(body)));
  });
  const sending = whatsappCloud({ accessToken: 'token-1', apiVersion, baseUrl }).sendText(message('hi'));
  return { sending, raw: () => raw };
}

describe('a text', () => {
  it('is delivered once, with its reference, and its id is returned', async () => {
    const { messageId } = await client().sendText(message('two\nlines 👋'));
    expect(deliveriesOf('two\nlines 👋')).toMatchObject([
      { id: messageId, account: '1001', recipient: '+4915100000001', reference: 'row-7' },
    ]);
  });

  it('goes to a business-scoped user id by `recipient`, not by `to`', async () => {
    const { messageId } = await client().sendText(message('to a user name', 'US.91000000015194'));
    expect(deliveriesOf('to a user name')).toMatchObject([{ id: messageId, recipient: 'US.91000000015194' }]);
  });

  it('is sent in the shape of the Cloud API', async () => {
    const { sending, raw } = await respondingWith(200, { messages: [{ id: 'wamid.1' }] });
    expect(await sending).toEqual({ messageId: 'wamid.1' });
    const [head, body] = raw().split('\r\n\r\n');
    expect(head).toMatch(/^POST \/v23\.0\/1001\/messages HTTP/);
    expect(head).toMatch(/^authorization: Bearer token-1\r$/im);
    expect(JSON.parse(body ?? '')).toEqual({
      messaging_product: 'whatsapp',
      recipient_type: 'individual',
      to: '+4915100000001',
      type: 'text',
      text: { body: 'hi' },
      biz_opaque_callback_data: 'row-7',
    });
  });
});

describe('a template', () => {
  const { text: _text, ...addressed } = message('');
  const template = (name: string, parameters: string[] = []) => ({ name, language: 'pt_BR', parameters });
  const sendTemplate = (baseUrl: string, name: string, parameters?: string[]) =>
    whatsappCloud({ accessToken: SANDBOX_ACCESS_TOKEN, apiVersion, baseUrl }).sendTemplate({
      ...addressed,
      template: template(name, parameters),
    });

  it('is delivered once, with its reference, and its id is returned', async () => {
    const { messageId } = await sendTemplate(sandbox.url, 'day_1', ['Ada', 'how was it? 👋']);
    expect(deliveriesOf('day_1 (pt_BR): Ada | how was it? 👋')).toMatchObject([
      { id: messageId, reference: 'row-7', template: template('day_1', ['Ada', 'how was it? 👋']) },
    ]);
  });

  it.each([
    [
      'with its parameters in order',
      ['Ada', '7'],
      [
        { type: 'text', text: 'Ada' },
        { type: 'text', text: '7' },
      ],
    ],
    ['without components if it has no parameters', [], null],
  ])('is sent in the shape of the Cloud API, %s', async (_name, parameters, sent) => {
    let raw = '';
    const baseUrl = await net.answering((socket, request) => {
      raw = request;
      socket.end(httpAnswer(200, JSON.stringify({ messages: [{ id: 'wamid.1' }] })));
    });
    await sendTemplate(baseUrl, 'day_1', parameters);
    expect(JSON.parse(raw.split('\r\n\r\n')[1] ?? '')).toEqual({
      messaging_product: 'whatsapp',
      recipient_type: 'individual',
      to: '+4915100000001',
      type: 'template',
      template: {
        name: 'day_1',
        language: { code: 'pt_BR' },
        ...(sent && { components: [{ type: 'body', parameters: sent }] }),
      },
      biz_opaque_callback_data: 'row-7',
    });
  });

  it('that is not approved is rejected', async () => {
    const refused = { kind: 'rejected', code: 132001, status: 404 };
    await expect(sendTemplate(sandbox.url, 'unapproved_day')).rejects.toMatchObject(refused);
  });
});

describe('a failure', () => {
  it.each([
    [400, 131051, 'rejected'],
    [400, 131026, 'rejected'],
    [400, 131047, 'rejected'],
    [500, 132000, 'rejected'],
    [404, 132001, 'rejected'],
    [400, 132015, 'rejected'],
    [403, 10, 'account_refused'],
    [400, 190, 'account_refused'],
    [401, 0, 'account_refused'],
    [400, 99_999, 'rejected'],
    [500, 131000, 'uncertain'],
    [503, 131016, 'uncertain'],
  ])('of status %d with code %d is %s', async (status, code, kind) => {
    const { sending } = await respondingWith(status, { error: { code, message: 'No' } });
    await expect(sending).rejects.toMatchObject({ kind, code, status, provider: 'whatsapp-cloud' });
  });

  it.each([
    [400, 4, 'account', null],
    [400, 80007, 'account', null],
    [429, 130429, 'account', null],
    [400, 131056, 'pair', null],
    [400, 131048, 'account', 86_400],
  ])(
    'of status %d with code %d is a rate limit for the %s, for %s s',
    async (status, code, scope, seconds) => {
      const { sending } = await respondingWith(status, { error: { code, message: 'Slow down' } });
      const limit = { kind: 'rate_limited', scope, retryAfterSeconds: seconds };
      await expect(sending).rejects.toMatchObject({ ...limit, code, status });
    },
  );

  it.each([
    ['[[131056]]', 'rate_limited', 'pair'],
    ['[[131048]]', 'rate_limited', 'account'],
    ['[[130429]]', 'rate_limited', 'account'],
    ['[[80007]]', 'rate_limited', 'account'],
    ['[[131051]]', 'rejected', 'account'],
  ])('%s of the sandbox is %s for the %s, and only the first time', async (text, kind, scope) => {
    await expect(client().sendText(message(text))).rejects.toMatchObject({ kind, scope });
    expect(deliveriesOf(text)).toHaveLength(0);
    await client().sendText(message(text));
    expect(deliveriesOf(text)).toHaveLength(1);
  });

  it('never shows the token that the provider quotes', async () => {
    const { sending } = await respondingWith(400, { error: { code: 190, message: 'Malformed token-1' } });
    await expect(sending).rejects.toThrow('whatsapp-cloud answered 400 (190): Malformed ***');
  });

  it('to respond in the agreed shape is uncertain', async () => {
    const { sending } = await respondingWith(200, { messages: [] });
    await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'unexpected_answer' });
  });

  it.each([
    ['[[500-after]]', 'uncertain', 1],
    ['[[drop-before]]', 'uncertain', 0],
    ['[[drop-after]]', 'uncertain', 1],
    ['[[html]]', 'uncertain', 0],
    ['[[429:3]]', 'rate_limited', 0],
  ])('%s is %s, delivered %d times', async (text, kind, times) => {
    await expect(client().sendText(message(text))).rejects.toMatchObject({ kind });
    expect(deliveriesOf(text)).toHaveLength(times);
  });

  it('of a number that nobody has is rejected, and of a wrong token refuses all accounts', async () => {
    const unreachable = client().sendText(message('x', '+000123'));
    await expect(unreachable).rejects.toMatchObject({ kind: 'rejected', code: 131026 });
    const refused = { kind: 'account_refused', code: 190, scope: 'provider' };
    await expect(client('wrong').sendText(message('x'))).rejects.toMatchObject(refused);
  });

  it('of a provider that hangs is uncertain when the signal fires', async () => {
    const sending = client().sendText({ ...message('[[hang]]'), signal: AbortSignal.timeout(60) });
    await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'aborted' });
  });
});
