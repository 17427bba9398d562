import { after } from 'next/server';
import { steerActionRoute } from '@/lib/operate/rows/actions-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 30;

export const POST = steerActionRoute('continue', { after });
