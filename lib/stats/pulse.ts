import { z } from 'zod';
import type { Rpc } from '../store/rpc.ts';

const pulseSchema = z.object({
  /** For each queue, the first digits of its latest tick that was not idle and the number of its exchanges; null before the first one. */
  queues: z.record(z.string(), z.string().nullable()),
  /** The progress of actions that run. */
  actions: z.record(z.string(), z.string()),
  /** The latest act of a person in the audit. */
  act: z.number().nullable(),
});

export type Pulse = z.infer<typeof pulseSchema>;

/** Reads a small value that changes when a page should be rendered anew. Throws a `StoreError`. */
export async function readPulse(rpc: Rpc): Promise<Pulse> {
  return pulseSchema.parse(await rpc('read_pulse', {}));
}
