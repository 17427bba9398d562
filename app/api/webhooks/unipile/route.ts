import { receiveFromUnipile } from '@/lib/server/webhook-unipile';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const POST = receiveFromUnipile;
