import { readRowRoute } from '@/lib/operate/rows/story-routes.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const GET = readRowRoute;
