import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whatsappCloud } from '../../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';
import { providerServer } from '../provider-server.ts';

// tests/providers/codes.test.ts has the errors by their code.
const { responding } = providerServer();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

const client = ({ accessToken = SANDBOX_ACCESS_TOKEN, baseUrl = sandbox.url } = {}) =>
  whatsappCloud({ accessToken, apiVersion: 'v23.0', baseUrl });
const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);
const number = '+4915100000001';
const addressed = { phoneNumberId: '1001', to: number, reference: 'row-7' };
const message = (text: string, to = number) => ({ ...addressed, to, text });
const template = (name: string, parameters: string[] = []) => ({
  ...addressed,
  template: { name, language: 'pt_BR', parameters },
});

describe('a message', () => {
  it('is delivered once, with its reference, and its id is returned', async () => {
    const { messageId } = await client().sendText(message('two\nlines 👋'));
    expect(deliveriesOf('two\nlines 👋')).toMatchObject([
      { id: messageId, account: '1001', recipient: number, reference: 'row-7' },
    ]);
    const day = template('day_1', ['Ada', 'how was it? 👋']);
    const sent = await client().sendTemplate(day);
    expect(deliveriesOf('day_1 (pt_BR): Ada | how was it? 👋')).toMatchObject([
      { id: sent.messageId, reference: 'row-7', template: day.template },
    ]);
  });

  it('goes to a business-scoped user id by `recipient`, not by `to`', async () => {
    const { messageId } = await client().sendText(message('to a user name', 'US.91000000015194'));
    expect(deliveriesOf('to a user name')).toMatchObject([{ id: messageId, recipient: 'US.91000000015194' }]);
  });

  const components = [
    {
      type: 'body',
      parameters: [
        { type: 'text', text: 'Ada' },
        { type: 'text', text: '7' },
      ],
    },
  ];
  const day = { name: 'day_1', language: { code: 'pt_BR' } };
  type Client = ReturnType<typeof client>;
  it.each<[label: string, send: (cloud: Client) => Promise<unknown>, content: object]>([
    ['a text', (cloud) => cloud.sendText(message('hi')), { type: 'text', text: { body: 'hi' } }],
    [
      'a template with its parameters in order',
      (cloud) => cloud.sendTemplate(template('day_1', ['Ada', '7'])),
      { type: 'template', template: { ...day, components } },
    ],
    [
      'a template without components if it has no parameters',
      (cloud) => cloud.sendTemplate(template('day_1')),
      { type: 'template', template: day },
    ],
  ])('is sent in the shape of the Cloud API: %s', async (_label, send, content) => {
    const { url, requests } = await responding(200, { messages: [{ id: 'wamid.1' }] });
    const cloud = client({ accessToken: 'token-1', baseUrl: url });
    expect(await send(cloud)).toEqual({ messageId: 'wamid.1' });
    const [head, body] = requests[0]?.split('\r\n\r\n') ?? [];
    expect(head).toMatch(/^POST \/v23\.0\/1001\/messages HTTP/);
    expect(head).toMatch(/^authorization: Bearer token-1\r$/im);
    expect(JSON.parse(body ?? '')).toEqual({
      messaging_product: 'whatsapp',
      recipient_type: 'individual',
      to: number,
      ...content,
      biz_opaque_callback_data: 'row-7',
    });
  });
});

describe('a failure', () => {
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
    const { url } = await responding(400, { error: { code: 190, message: 'Malformed token-1' } });
    const sending = client({ accessToken: 'token-1', baseUrl: url }).sendText(message('hi'));
    await expect(sending).rejects.toThrow('whatsapp-cloud answered 400 (190): Malformed ***');
  });

  it('to respond in the agreed shape is uncertain', async () => {
    const { url } = await responding(200, { messages: [] });
    const sending = client({ baseUrl: url }).sendText(message('hi'));
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

  it('of a number that nobody has or a template that is not approved is rejected, of a wrong token refuses all accounts', async () => {
    const unreachable = client().sendText(message('x', '+000123'));
    await expect(unreachable).rejects.toMatchObject({ kind: 'rejected', code: 131026 });
    const unapproved = client().sendTemplate(template('unapproved_day'));
    await expect(unapproved).rejects.toMatchObject({ kind: 'rejected', code: 132001, status: 404 });
    const stranger = client({ accessToken: 'wrong' }).sendText(message('x'));
    const refused = { kind: 'account_refused', code: 190, scope: 'provider' };
    await expect(stranger).rejects.toMatchObject(refused);
  });

  it('of a provider that hangs is uncertain when the signal fires', async () => {
    const sending = client().sendText({ ...message('[[hang]]'), signal: AbortSignal.timeout(60) });
    await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'aborted' });
  });
});
