import { resolveRowRoute } from '@/lib/operate/rows/rows-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const POST = resolveRowRoute();
