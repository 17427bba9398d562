import { receiveFromUnipile } from '../http/webhooks/webhook-unipile.ts';
import { answerChallenge, receiveFromWhatsapp } from '../http/webhooks/webhook-whatsapp.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'POST /webhooks/unipile': receiveFromUnipile,
  'GET /webhooks/whatsapp': answerChallenge,
  'POST /webhooks/whatsapp': receiveFromWhatsapp,
} satisfies Endpoints;
