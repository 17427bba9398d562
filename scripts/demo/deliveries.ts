import { z } from 'zod';

const entry = z.object({ account: z.string(), recipient: z.string(), text: z.string(), at: z.string() });

/** A message that the sandbox delivered. `at` is ISO 8601. */
export type Delivery = z.infer<typeof entry>;

export function deliveriesOf(json: unknown): Delivery[] {
  return z.array(entry).parse(json);
}

const reply = entry.extend({ reported_at: z.string().nullable() });

/** A message that a person wrote in the sandbox. `reported_at`: when the app had accepted its webhook. */
export type Reply = z.infer<typeof reply>;

export function repliesOf(json: unknown): Reply[] {
  return z.array(reply).parse(json);
}

/** Counts deliveries of a message that was delivered before. Each message of the demo has a text of its own. */
export function countTwice(deliveries: Delivery[]): number {
  const messages = new Set(
    deliveries.map(({ account, recipient, text }) => JSON.stringify([account, recipient, text])),
  );
  return deliveries.length - messages.size;
}
