import { z } from 'zod';
import { NotFoundError, ValidationError } from '../../http/http-error';
import { parseChanges, parseStored } from '../../http/input/parse-input';
import { findById } from '../../http/input/row-id';
import { type Monitor, monitorSchema } from '../../store/monitoring';
import type { Rpc } from '../../store/rpc';
import type { AddressCheck } from './address-check';
import { discords, monitorChanges } from './monitor-fields';
import { kindOf } from './monitor-url';

/** Throws an `HttpError` or a `StoreError`. */
export function readMonitor(rpc: Rpc, id: string): Promise<Monitor> {
  return findMonitor(id, (p_id) => read(rpc, p_id));
}

/** Changes what is named, whatever the monitor is doing; the next check obeys. Throws an `HttpError` or a `StoreError`. */
export async function editMonitor(
  rpc: Rpc,
  refusalOf: AddressCheck,
  id: string,
  body: unknown,
): Promise<Monitor> {
  const changes = parseChanges(monitorChanges, body);
  return findMonitor(id, async (p_id) => {
    const errors = faultsOf(changes, await read(rpc, p_id));
    const refusal = changes.url !== undefined && (await refusalOf(changes.url));
    if (refusal) errors.push({ field: 'url', message: `cannot be checked: ${refusal}` });
    if (errors.length > 0) throw new ValidationError(errors);
    return parseStored(monitorSchema, await rpc('update_monitor', { p_id, p_changes: changes }));
  });
}

const deleted = z.object({ id: z.string() });

/** Deletes it with all that was found of it. Throws an `HttpError` or a `StoreError`. */
export function deleteMonitor(rpc: Rpc, id: string): Promise<z.infer<typeof deleted>> {
  return findMonitor(id, async (p_id) => deleted.parse(await rpc('delete_monitor', { p_id })));
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

async function read(rpc: Rpc, p_id: string): Promise<Monitor> {
  const monitor = monitorSchema.nullable().parse(await rpc('read_monitor', { p_id }));
  if (!monitor) throw new NotFoundError(`there is no monitor ${p_id}`);
  return monitor;
}

const findMonitor = <T>(id: string, ask: (id: string) => Promise<T>) => findById('monitor', id, ask);
