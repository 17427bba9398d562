import type { Endpoints } from './endpoints.ts';

type Load = () => Promise<{ endpoints: Endpoints }>;

const loadAccounts: Load = () => import('./accounts.ts');
const loadActions: Load = () => import('./actions.ts');
const loadMonitors: Load = () => import('./monitors.ts');
const loadQueues: Load = () => import('./queues.ts');
const loadSequences: Load = () => import('./sequences.ts');
const loadStats: Load = () => import('./stats.ts');

/** The endpoints by the first part of their paths. A module is loaded by the first call of one of its paths. */
export const groups: ReadonlyMap<string, Load> = new Map<string, Load>([
  ['accounts', loadAccounts],
  ['actions', loadActions],
  ['analytics', loadStats],
  ['audit', loadActions],
  ['dms', () => import('./dms.ts')],
  ['enrolments', loadSequences],
  ['find', loadQueues],
  ['forecast', loadStats],
  ['health', loadStats],
  ['incidents', loadMonitors],
  ['jobs', () => import('./jobs.ts')],
  ['monitoring', loadMonitors],
  ['monitors', loadMonitors],
  ['needs', loadStats],
  ['openapi.json', async () => (await import('./openapi/endpoint.ts')).openApiEndpoint(allEndpoints)],
  ['people', loadSequences],
  ['posts', () => import('./posts.ts')],
  ['pulse', loadStats],
  ['queues', loadQueues],
  ['refusals', loadAccounts],
  ['regions', loadMonitors],
  ['replies', loadSequences],
  ['schedulers', loadStats],
  ['sequences', loadSequences],
  ['session', () => import('./session.ts')],
  ['sql', () => import('./sql.ts')],
  ['stats', loadStats],
  ['ticks', loadQueues],
  ['trigger', loadQueues],
  ['webhooks', () => import('./webhooks.ts')],
]);

/** Returns all endpoints. */
export async function allEndpoints(): Promise<Endpoints> {
  const modules = await Promise.all([...new Set(groups.values())].map((load) => load()));
  return Object.assign({}, ...modules.map(({ endpoints }) => endpoints));
}
