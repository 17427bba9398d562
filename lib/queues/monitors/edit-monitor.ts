import { z } from 'zod';
import { rowId } from '../../http/input/row-path';
import { fieldRefusal, type RowRefusal, rowRefusal } from '../../http/row-refusal';
import { type Monitor, monitorSchema } from '../../store/monitoring';
import type { Rpc } from '../../store/rpc';
import type { AddressCheck } from './address-check';
import { discords, monitorChanges } from './monitor-fields';
import { kindOf } from './monitor-url';

/** Throws a `StoreError`. */
export function readMonitor(rpc: Rpc, id: string): Promise<{ monitor: Monitor } | RowRefusal> {
  return call(id, (p_id) => read(rpc, p_id));
}

const changed = z.union([
  z.object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) }),
  monitorSchema.transform((monitor) => ({ monitor })),
]);

/** Changes what is named, whatever the monitor is doing; the next check obeys. Throws a `StoreError`. */
export async function editMonitor(
  rpc: Rpc,
  refusalOf: AddressCheck,
  id: string,
  body: unknown,
): Promise<{ monitor: Monitor } | RowRefusal> {
  const parsed = monitorChanges.safeParse(body);
  if (!parsed.success) return fieldRefusal(parsed.error);
  const changes = parsed.data;
  if (Object.keys(changes).length === 0) {
    const message = `name what is to change: ${Object.keys(monitorChanges.shape).join(', ')}`;
    return { errors: [{ field: '', message }] };
  }
  return call(id, async (p_id) => {
    const stood = await read(rpc, p_id);
    if (!('monitor' in stood)) return stood;
    const errors = faultsOf(changes, stood.monitor);
    const refusal = changes.url !== undefined && (await refusalOf(changes.url));
    if (refusal) errors.push({ field: 'url', message: `cannot be checked: ${refusal}` });
    if (errors.length > 0) return { errors };
    return changed.parse(await rpc('update_monitor', { p_id, p_changes: changes }));
  });
}

const deleted = z.object({ id: z.string() });

/** Deletes it with all that was found of it. Throws a `StoreError`. */
export function deleteMonitor(
  rpc: Rpc,
  id: string,
): Promise<{ monitor: z.infer<typeof deleted> } | RowRefusal> {
  return call(id, async (p_id) => ({ monitor: deleted.parse(await rpc('delete_monitor', { p_id })) }));
}

function faultsOf(changes: z.infer<typeof monitorChanges>, monitor: Monitor) {
  const { url = monitor.url } = changes;
  const [from, to] = [kindOf(monitor.url), kindOf(url)];
  const web = ['http', 'https'];
  if (from !== to && !(web.includes(from) && web.includes(to))) {
    const message = `makes a ${to} check of a ${from} check: create another monitor, and delete or deactivate this one`;
    return [{ field: 'url', message }];
  }
  // Whoever may change an address but not see the headers would be sent them there.
  if (
    new URL(url).origin !== new URL(monitor.url).origin &&
    changes.headers === undefined &&
    Object.keys(monitor.headers).length > 0
  ) {
    const message =
      'leads to another origin, where the headers would be sent: say which with it, {} for none';
    return [{ field: 'headers', message }];
  }
  return discords(changes, { ...monitor, ...changes, url });
}

async function read(rpc: Rpc, p_id: string): Promise<{ monitor: Monitor } | RowRefusal> {
  const monitor = monitorSchema.nullable().parse(await rpc('read_monitor', { p_id }));
  return monitor ? { monitor } : { missing: `there is no monitor ${p_id}` };
}

async function call<T>(id: string, ask: (id: string) => Promise<T>): Promise<T | RowRefusal> {
  const parsed = rowId.safeParse(id);
  if (!parsed.success) return { missing: 'there is no such monitor: ids are whole numbers' };
  try {
    return await ask(parsed.data);
  } catch (error) {
    return rowRefusal(error, '');
  }
}
