import { resolveRowRoute } from '@/lib/server/rows-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const POST = resolveRowRoute();
