import { z } from 'zod';
import { NotFoundError, ValidationError } from '../../http/http-error.ts';
import { parseChanges, parseStored } from '../../http/input/parse-input.ts';
import { findById } from '../../http/input/row-id.ts';
import type { AddressCheck } from '../../net/address-check.ts';
import { type Monitor, monitorSchema } from '../../store/monitoring.ts';
import type { Rpc } from '../../store/rpc.ts';
import { conflictingFields, monitorChanges } from './monitor-fields.ts';
import { kindOf } from './monitor-url.ts';

/** Reads a monitor. Throws an `HttpError` or a `StoreError`. */
export function readMonitor(rpc: Rpc, id: string): Promise<Monitor> {
  return findMonitor(id, (p_id) => read(rpc, p_id));
}

/** Changes the given fields, even during a check. The next check uses them. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function editMonitor(
  rpc: Rpc,
  checkAddress: AddressCheck,
  id: string,
  body: unknown,
  by: string,
): Promise<Monitor> {
  const changes = parseChanges(monitorChanges, body);
  return findMonitor(id, async (p_id) => {
    const errors = faultsOf(changes, await read(rpc, p_id));
    const fault = changes.url !== undefined && (await checkAddress(changes.url));
    if (fault) errors.push({ field: 'url', message: `cannot be checked: ${fault}` });
    if (errors.length > 0) throw new ValidationError(errors);
    return parseStored(monitorSchema, await rpc('update_monitor', { p_id, p_changes: changes, p_by: by }));
  });
}

export const deletedMonitor = z.object({ id: z.string() });

/** Deletes a monitor with all its results. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function deleteMonitor(rpc: Rpc, id: string, by: string): Promise<z.infer<typeof deletedMonitor>> {
  return findMonitor(id, async (p_id) =>
    deletedMonitor.parse(await rpc('delete_monitor', { p_id, p_by: by })),
  );
}

function faultsOf(changes: z.infer<typeof monitorChanges>, monitor: Monitor) {
  const { url = monitor.url } = changes;
  const [from, to] = [kindOf(monitor.url), kindOf(url)];
  const web = ['http', 'https'];
  if (from !== to && !(web.includes(from) && web.includes(to))) {
    const message = `would turn a ${from} check into a ${to} check: create another monitor, and delete or deactivate this one`;
    return [{ field: 'url', message }];
  }
  // Otherwise a person who may change the URL, but not read the headers, could have them sent to a site of their own.
  if (
    new URL(url).origin !== new URL(monitor.url).origin &&
    changes.headers === undefined &&
    Object.keys(monitor.headers).length > 0
  ) {
    const message = 'would be sent to another origin: send url and headers together, {} for no headers';
    return [{ field: 'headers', message }];
  }
  return conflictingFields(changes, { ...monitor, ...changes, url });
}

async function read(rpc: Rpc, p_id: string): Promise<Monitor> {
  const monitor = monitorSchema.nullable().parse(await rpc('read_monitor', { p_id }));
  if (!monitor) throw new NotFoundError(`there is no monitor ${p_id}`);
  return monitor;
}

const findMonitor = <T>(id: string, query: (id: string) => Promise<T>) => findById('monitor', id, query);
