import { steerActionRoute } from '@/lib/operate/rows/actions-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const POST = steerActionRoute('stop');
