import { createHmac } from 'node:crypto';
import { readUnipileWebhook } from '../../providers/unipile/unipile-webhook.ts';
import { accessEnv } from '../../services/env.ts';
import { secretsEqual } from '../auth/secrets.ts';
import { webhookRoute } from './webhook-route.ts';

/**
 * Receives new messages and the status of accounts. v1 does not sign its calls; it sends the header that the webhook was created with. v2 signs each
 * call with the secret of its endpoint.
 */
export const receiveFromUnipile = webhookRoute({
  provider: 'unipile',
  variable: 'UNIPILE_WEBHOOK_SECRET',
  secret: () => accessEnv().unipileWebhookSecret,
  deniedMessage:
    'neither Unipile-Auth nor Unipile-Signature matches UNIPILE_WEBHOOK_SECRET: check the secret',
  isGenuine: (request, body, secret) => {
    const signature = request.headers.get('unipile-signature');
    return signature === null
      ? secretsEqual(request.headers.get('unipile-auth') ?? '', secret)
      : isSignedByUnipile(body, signature, secret);
  },
  read: readUnipileWebhook,
});

/**
 * Checks `Unipile-Signature: t=<seconds>,v0=<hex>`, where v0 is the HMAC-SHA256 of `<t>.<body>`. developer.unipile.com/v2.0/docs/configure-a-webhook
 * documents that calls are signed, but we could not read the form there. Several public receivers of v2 check this form, and one reports that it did
 * so with a real account. The age of t is not checked: a retry may have the t of the first call, and a repeated or late call changes nothing.
 */
function isSignedByUnipile(body: Buffer, header: string, secret: string): boolean {
  const { t, v0 } = Object.fromEntries(header.split(',').map((part) => part.trim().split('=', 2)));
  if (!t || !v0) return false;
  return secretsEqual(v0, createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex'));
}
