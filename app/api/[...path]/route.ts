import { routes } from 'punctual/next';
import { punctual } from '@/punctual.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST, PUT, PATCH, DELETE } = routes(punctual, { maxDuration });
