import { createHmac } from 'node:crypto';
import { readUnipileWebhook } from '../../providers/unipile/unipile-webhook';
import { accessEnv } from '../../services/env';
import { secretsEqual } from '../auth/secrets';
import { webhookRoute } from './webhook-route';

/**
 * New messages and the status of accounts. v1 signs nothing; it sends the header that the webhook was made with. v2 signs every call with
 * its endpoint's own secret.
 */
export const receiveFromUnipile = webhookRoute({
  provider: 'unipile',
  variable: 'UNIPILE_WEBHOOK_SECRET',
  secret: () => accessEnv().unipileWebhookSecret,
  proof:
    'neither is the header Unipile-Auth UNIPILE_WEBHOOK_SECRET, nor Unipile-Signature made with it of this body',
  isGenuine: (request, body, secret) => {
    const signature = request.headers.get('unipile-signature');
    return signature === null
      ? secretsEqual(request.headers.get('unipile-auth') ?? '', secret)
      : isSignedByUnipile(body, signature, secret);
  },
  read: readUnipileWebhook,
});

/**
 * `Unipile-Signature: t=<seconds>,v0=<hex>`, with v0 the HMAC-SHA256 of `<t>.<body>`. That calls are signed is in
 * developer.unipile.com/v2.0/docs/configure-a-webhook. The form could not be read there; it is what several public receivers of v2
 * check, one of which says that it did so against a real account. How old t may be is not checked: a retry may bear the first call's, and
 * what is told twice, or late, changes nothing.
 */
function isSignedByUnipile(body: Buffer, header: string, secret: string): boolean {
  const { t, v0 } = Object.fromEntries(header.split(',').map((part) => part.trim().split('=', 2)));
  if (!t || !v0) return false;
  return secretsEqual(v0, createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex'));
}
