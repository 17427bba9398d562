import { fieldErrors } from '../../http/field-error';
import { type CheckedRow, type InsertedRow, insertMany } from '../../http/input/insert-many';
import type { Rpc } from '../../store/rpc';
import type { AddressCheck } from './address-check';
import { discords, monitorDefaults, newMonitor } from './monitor-fields';

/** Checks one monitor or up to 1,000, and creates all of them or none. Throws a `ValidationError` or a `StoreError`. */
export function createMonitors(
  rpc: Rpc,
  refusalOf: AddressCheck,
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  return insertMany(
    'monitor',
    body,
    (monitor) => checkMonitor(refusalOf, monitor),
    (rows) => rpc('create_monitors', { p_rows: rows }),
  );
}

async function checkMonitor(refusalOf: AddressCheck, asked: unknown): Promise<CheckedRow> {
  const parsed = newMonitor.safeParse(asked);
  if (!parsed.success) return { faults: fieldErrors(parsed.error) };
  const monitor = parsed.data;
  const faults = discords(monitor, { ...monitorDefaults, ...monitor });
  const refusal = await refusalOf(monitor.url);
  if (refusal) faults.push({ field: 'url', message: `cannot be checked: ${refusal}` });
  return faults.length > 0 ? { faults } : { row: monitor };
}
