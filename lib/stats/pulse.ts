import { z } from 'zod';
import type { Rpc } from '../store/rpc.ts';

export const pulseSchema = z.object({
  queues: z
    .record(z.string(), z.string().nullable())
    .describe(
      'For each queue, the first digits of its latest tick that was not idle and the number of its exchanges; null before the first one.',
    ),
  actions: z.record(z.string(), z.string()).describe('The progress of actions that run.'),
  act: z.number().nullable().describe('The latest act of a person in the audit.'),
});

export type Pulse = z.infer<typeof pulseSchema>;

/** Reads a small value that changes when a page should be rendered anew. Throws a `StoreError`. */
export async function readPulse(rpc: Rpc): Promise<Pulse> {
  return pulseSchema.parse(await rpc('read_pulse', {}));
}
