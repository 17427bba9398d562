import { createHmac } from 'node:crypto';
import { beforeEach, vi } from 'vitest';
import { endpoints as webhooksApi } from '../../../lib/api/webhooks.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { serveHandler } from '../../support/serve-handler.ts';

const { 'POST /webhooks/unipile': unipile, 'POST /webhooks/whatsapp': whatsapp } = webhooksApi;

export const APP_SECRET = 'app-secret-of-meta';
export const VERIFY_TOKEN = 'verify-token';
export const UNIPILE_SECRET = 'secret-of-unipile';

type Headers = Record<string, string>;

/** A database for the webhooks' routes, which know the secrets of both providers. */
export function webhookBench() {
  const database = servedDatabase();
  beforeEach(() => {
    vi.stubEnv('WHATSAPP_APP_SECRET', APP_SECRET);
    vi.stubEnv('WHATSAPP_VERIFY_TOKEN', VERIFY_TOKEN);
    vi.stubEnv('UNIPILE_WEBHOOK_SECRET', UNIPILE_SECRET);
  });
  return {
    database,
    stored: () => database.sql('select * from punctual.receipts order by id'),
    /** Adds an account that webhooks call acc1. Returns its id. */
    async addAccount(provider = 'unipile', providerId = 'acc1'): Promise<string> {
      const [{ id }] = await database.sql(
        `insert into punctual.accounts (provider, provider_account_id, name) values ($1, $2, 'Ada') returning id`,
        [provider, providerId],
      );
      return id;
    },
    /** Adds a message of the account to a chat. */
    writeTo: (account: string, chat: string) =>
      database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body) values ($1, 'linkedin', $2, 'hi')`,
        [account, chat],
      ),
  };
}

const hmac = (secret: string, body: string | Uint8Array) =>
  createHmac('sha256', secret).update(body).digest('hex');
export const signedByMeta = (body: string | Uint8Array, secret = APP_SECRET): Headers => ({
  'x-hub-signature-256': `sha256=${hmac(secret, body)}`,
});
export const signedByUnipile = (body: string, secret = UNIPILE_SECRET, t = '1795341600'): Headers => ({
  'unipile-signature': `t=${t},v0=${hmac(secret, `${t}.${body}`)}`,
});

async function post(
  route: (request: Request) => Promise<Response>,
  body: BodyInit,
  headers: Headers,
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
): Promise<{ status: number; [field: string]: any }> {
  const init = { method: 'POST', headers, body, duplex: 'half' };
  const response = await route(new Request('http://app.test/', init as RequestInit));
  return { status: response.status, ...(await response.json()) };
}

export const postWhatsapp = (body: string | Uint8Array<ArrayBuffer>, headers = signedByMeta(body)) =>
  post(whatsapp, body, headers);
export const postUnsigned = (body: BodyInit, headers: Headers = {}) => post(whatsapp, body, headers);
export const postUnipile = (body: string, headers: Headers = { 'unipile-auth': UNIPILE_SECRET }) =>
  post(unipile, body, headers);

/** Serves both routes over HTTP. */
export const serveWebhooks = () =>
  serveHandler((request) => (request.url.endsWith('/unipile') ? unipile : whatsapp)(request));

/** A status of a message in a webhook of WhatsApp. */
export const whatsappStatus = (more: object = {}) => ({
  id: 'wamid.1',
  status: 'sent',
  timestamp: '1795341600',
  recipient_id: '4915100000001',
  biz_opaque_callback_data: 'dm_queue/7/0f8e',
  ...more,
});

export function whatsappBody(...statuses: unknown[]): string {
  const value = { metadata: { phone_number_id: '1001' }, statuses };
  return JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ changes: [{ field: 'messages', value }] }],
  });
}

/** A webhook of Unipile's v1 about a new message. */
export const unipileBody = (more: object = {}) =>
  JSON.stringify({
    event: 'message_received',
    account_id: 'acc1',
    account_info: { user_id: 'ACoAda' },
    chat_id: 'chat1',
    timestamp: '2026-11-22T10:00:00.123Z',
    message_id: 'm1',
    message: 'Hello',
    sender: { attendee_provider_id: 'ACoAda' },
    attendees: [{ attendee_provider_id: 'ACoBob' }],
    ...more,
  });
