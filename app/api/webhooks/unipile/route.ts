import { receiveFromUnipile } from '@/lib/http/webhooks/webhook-unipile.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const POST = receiveFromUnipile;
