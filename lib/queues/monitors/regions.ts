import { z } from 'zod';
import { fieldRefusal, type RowRefusal, rowRefusal } from '../../http/row-refusal';
import { type Region, regionSchema } from '../../store/monitoring';
import type { Rpc } from '../../store/rpc';
import { regionName } from './monitor-fields';

const asked = z.strictObject({
  name: regionName,
  /** True makes it the default region in place of the one that is. */
  is_default: z
    .boolean()
    .refine((isDefault) => isDefault, 'cannot be taken away: make another region the default one')
    .optional(),
  unseen_seconds: z.int().min(30).max(86_400).optional(),
});

/** Throws a `StoreError`. */
export async function listRegions(rpc: Rpc): Promise<Region[]> {
  return z.array(regionSchema).parse(await rpc('list_regions', {}));
}

/** Makes a region, or changes the one of this name. Throws a `StoreError`. */
export async function saveRegion(rpc: Rpc, body: unknown): Promise<{ region: Region } | RowRefusal> {
  const parsed = asked.safeParse(body);
  if (!parsed.success) return fieldRefusal(parsed.error);
  try {
    return { region: regionSchema.parse(await rpc('save_region', { p_region: parsed.data })) };
  } catch (error) {
    return rowRefusal(error, 'name');
  }
}

const removed = z.object({ name: z.string(), moved: z.number() });

/** Its monitors move to the other regions; what it found is kept. Throws a `StoreError`. */
export async function removeRegion(
  rpc: Rpc,
  name: string,
): Promise<{ removed: z.infer<typeof removed> } | RowRefusal> {
  const parsed = regionName.safeParse(name);
  if (!parsed.success) return { missing: 'there is no such region' };
  try {
    return { removed: removed.parse(await rpc('remove_region', { p_name: parsed.data })) };
  } catch (error) {
    return rowRefusal(error, 'name');
  }
}
