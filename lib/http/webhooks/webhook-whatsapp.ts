import { isSignedByMeta, readWhatsappWebhook } from '../../providers/whatsapp/whatsapp-webhook';
import { accessEnv } from '../../services/env';
import { secretsEqual } from '../auth/secrets';
import { errorResponse } from '../error-response';
import { problem } from '../respond';
import { notConfigured, webhookRoute } from './webhook-route';

/** Statuses of messages, and messages received, signed with the app's secret. */
export const receiveFromWhatsapp = webhookRoute({
  provider: 'whatsapp_cloud',
  variable: 'WHATSAPP_APP_SECRET',
  secret: () => accessEnv().whatsappAppSecret,
  proof: 'X-Hub-Signature-256 is missing or not of this body',
  isGenuine: (request, body, secret) =>
    isSignedByMeta(body, request.headers.get('x-hub-signature-256'), secret),
  read: readWhatsappWebhook,
});

/**
 * Meta's question, when the address is entered, whether we expect it: 200 with the challenge as plain text, 401 where the token is
 * another, 503 where ours is not set.
 */
export function answerChallenge(request: Request): Response {
  const { whatsappVerifyToken } = accessEnv();
  if (!whatsappVerifyToken) return errorResponse(notConfigured('WHATSAPP_VERIFY_TOKEN'));
  const asked = new URL(request.url).searchParams;
  if (!secretsEqual(asked.get('hub.verify_token') ?? '', whatsappVerifyToken)) {
    return problem(401, 'unauthorised', 'hub.verify_token is not WHATSAPP_VERIFY_TOKEN');
  }
  const challenge = asked.get('hub.challenge');
  if (asked.get('hub.mode') !== 'subscribe' || challenge === null) {
    return problem(400, 'invalid', 'hub.mode=subscribe and hub.challenge are expected');
  }
  return new Response(challenge, {
    headers: {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
  });
}
