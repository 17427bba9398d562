import { fieldErrors } from '../../http/field-error.ts';
import { type CheckedRow, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import type { AddressCheck } from '../../net/address-check.ts';
import type { Rpc } from '../../store/rpc.ts';
import { conflictingFields, monitorDefaults, monitorInput } from './monitor-fields.ts';

/** Checks one monitor or a list of up to 1,000, and creates all of them or none. The audit records `by`. Throws a `ValidationError` or a `StoreError`. */
export function createMonitors(
  rpc: Rpc,
  checkAddress: AddressCheck,
  body: unknown,
  by: string,
): Promise<{ rows: InsertedRow[] }> {
  return insertMany(
    'monitor',
    body,
    (monitor) => checkMonitor(checkAddress, monitor),
    (rows) => rpc('create_monitors', { p_rows: rows, p_by: by }),
  );
}

async function checkMonitor(checkAddress: AddressCheck, input: unknown): Promise<CheckedRow> {
  const parsed = monitorInput.safeParse(input);
  if (!parsed.success) return { faults: fieldErrors(parsed.error) };
  const monitor = parsed.data;
  const faults = conflictingFields(monitor, { ...monitorDefaults, ...monitor });
  const fault = await checkAddress(monitor.url);
  if (fault) faults.push({ field: 'url', message: `cannot be checked: ${fault}` });
  return faults.length > 0 ? { faults } : { row: monitor };
}
