import { readUnipileWebhook } from '../providers/unipile-webhook';
import { accessEnv } from './env';
import { secretsEqual } from './secrets';
import { webhookRoute } from './webhook-route';

/** New messages. Unipile signs nothing; it sends the header that the webhook was made with. */
export const receiveFromUnipile = webhookRoute({
  provider: 'unipile',
  variable: 'UNIPILE_WEBHOOK_SECRET',
  secret: () => accessEnv().unipileWebhookSecret,
  proof: 'the header Unipile-Auth is missing or not UNIPILE_WEBHOOK_SECRET',
  isGenuine: (request, _body, secret) => secretsEqual(request.headers.get('unipile-auth') ?? '', secret),
  read: readUnipileWebhook,
});
