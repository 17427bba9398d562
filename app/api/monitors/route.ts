import { bulkRoute } from '@/lib/http/bulk-route.ts';
import { listRoute } from '@/lib/http/page.ts';
import { addressCheck } from '@/lib/queues/monitors/address-check.ts';
import { listMonitors, monitorsQuery } from '@/lib/queues/monitors/list-monitors.ts';
import { createMonitors } from '@/lib/queues/monitors/new-monitors.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists monitors by id: `?state=down&limit=50&cursor=…`. `{ monitors, next }`; 400 with `{ errors: [{ field, message }] }`. */
export const GET = listRoute({ name: 'monitors', query: monitorsQuery, list: listMonitors });

/** Creates monitors: see `bulkRoute`. */
export const POST = bulkRoute('nothing was created', ({ services: { rpc, env }, body, by }) =>
  createMonitors(rpc, addressCheck(env), body, by),
);
