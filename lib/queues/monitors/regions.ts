import { z } from 'zod';
import { NotFoundError, toHttpError } from '../../http/http-error.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { type Region, regionSchema } from '../../store/monitoring.ts';
import type { Rpc } from '../../store/rpc.ts';
import { regionName } from './monitor-fields.ts';

export const regionInput = z.strictObject({
  name: regionName,
  is_default: z
    .boolean()
    .refine((isDefault) => isDefault, 'cannot be false: make another region the default instead')
    .optional()
    .describe('True makes this region the default in place of the current one.'),
  unseen_seconds: z.int().min(30).max(86_400).optional(),
});

/** Lists all regions. Throws a `StoreError`. */
export async function listRegions(rpc: Rpc): Promise<Region[]> {
  return z.array(regionSchema).parse(await rpc('list_regions', {}));
}

/** Creates a region, or changes the one with this name. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function saveRegion(rpc: Rpc, body: unknown, by: string): Promise<{ region: Region }> {
  const p_region = parseInput(regionInput, body);
  try {
    return { region: regionSchema.parse(await rpc('save_region', { p_region, p_by: by })) };
  } catch (error) {
    throw toHttpError(error, 'name');
  }
}

export const removedRegion = z.object({ name: z.string(), moved: z.number() });

/** Removes a region. Its monitors move to other regions, and its checks are kept. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function removeRegion(
  rpc: Rpc,
  name: string,
  by: string,
): Promise<z.infer<typeof removedRegion>> {
  const parsed = regionName.safeParse(name);
  if (!parsed.success) throw new NotFoundError('there is no such region');
  try {
    return removedRegion.parse(await rpc('remove_region', { p_name: parsed.data, p_by: by }));
  } catch (error) {
    throw toHttpError(error, 'name');
  }
}
