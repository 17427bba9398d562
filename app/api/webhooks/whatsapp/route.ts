import { answerChallenge, receiveFromWhatsapp } from '@/lib/http/webhooks/webhook-whatsapp.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const GET = answerChallenge;
export const POST = receiveFromWhatsapp;
