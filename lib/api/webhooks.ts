import { z } from 'zod';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import { receiveFromUnipile } from '../http/webhooks/webhook-unipile.ts';
import { answerChallenge, receiveFromWhatsapp } from '../http/webhooks/webhook-whatsapp.ts';
import type { Endpoints } from './endpoints.ts';

/** The provider decides what it sends. */
const body = z.unknown();
const response = z.object({
  received: z.number(),
  new: z.number().describe('Receipts that were not known.'),
  ignored: z.number().describe('Entries that say nothing of a message.'),
});

export const endpoints = {
  'POST /webhooks/unipile': describeEndpoint(receiveFromUnipile, {
    summary: 'Receives new messages and the status of accounts from Unipile.',
    access: 'webhook',
    body,
    response,
  }),
  'GET /webhooks/whatsapp': describeEndpoint(answerChallenge, {
    summary: 'Answers the call by which Meta verifies the webhook’s address.',
    access: 'webhook',
    response: z.string(),
    mediaType: 'text/plain',
  }),
  'POST /webhooks/whatsapp': describeEndpoint(receiveFromWhatsapp, {
    summary: 'Receives message statuses and incoming messages from Meta.',
    access: 'webhook',
    body,
    response,
  }),
} satisfies Endpoints;
