import { apiRoute } from '@/lib/http/api-route.ts';
import { readAccount } from '@/lib/operate/account-pace.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the account with what it may still send today, and when, in each queue. 404. */
export const GET = apiRoute<{ id: string }>(({ services: { rpc }, params }) => readAccount(rpc, params.id), {
  dashboard: true,
});
