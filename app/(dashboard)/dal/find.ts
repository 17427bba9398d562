import { storableText } from '@/lib/http/input/storable-text.ts';
import { findRows } from '@/lib/operate/rows/read-row.ts';
import { visitedServices } from './visited.ts';

/** Finds rows of any queue by an id, a provider's id, an idempotency key or an address, 20 at most. No row has a text that cannot be stored. */
export async function readFound(text: string) {
  const { rpc } = await visitedServices();
  return storableText(500).safeParse(text).success ? findRows(rpc, text) : [];
}
