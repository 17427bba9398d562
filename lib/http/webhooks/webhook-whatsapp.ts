import { isSignedByMeta, readWhatsappWebhook } from '../../providers/whatsapp/whatsapp-webhook.ts';
import { accessEnv } from '../../services/env.ts';
import { secretsEqual } from '../auth/secrets.ts';
import { errorResponse } from '../error-response.ts';
import { problem } from '../respond.ts';
import { notConfigured, webhookRoute } from './webhook-route.ts';

/** Receives message statuses and incoming messages. Meta signs each call with the app's secret. */
export const receiveFromWhatsapp = webhookRoute({
  provider: 'whatsapp_cloud',
  variable: 'WHATSAPP_APP_SECRET',
  secret: () => accessEnv().whatsappAppSecret,
  deniedMessage: 'X-Hub-Signature-256 is missing or does not match the body: check WHATSAPP_APP_SECRET',
  isGenuine: (request, body, secret) =>
    isSignedByMeta(body, request.headers.get('x-hub-signature-256'), secret),
  read: readWhatsappWebhook,
});

/**
 * Answers the call by which Meta verifies the webhook's address when it is entered: 200 with the challenge as plain text, 401 for a wrong token, 503
 * if WHATSAPP_VERIFY_TOKEN is not set.
 */
export function answerChallenge(request: Request): Response {
  const { whatsappVerifyToken } = accessEnv();
  if (!whatsappVerifyToken) return errorResponse(notConfigured('WHATSAPP_VERIFY_TOKEN'));
  const query = new URL(request.url).searchParams;
  if (!secretsEqual(query.get('hub.verify_token') ?? '', whatsappVerifyToken)) {
    return problem(
      401,
      'unauthorised',
      'hub.verify_token does not match WHATSAPP_VERIFY_TOKEN: enter the same token in both places',
    );
  }
  const challenge = query.get('hub.challenge');
  if (query.get('hub.mode') !== 'subscribe' || challenge === null) {
    return problem(400, 'invalid', 'send hub.mode=subscribe and hub.challenge');
  }
  return new Response(challenge, {
    headers: {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
  });
}
