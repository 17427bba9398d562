import { z } from 'zod';

const entry = z.object({ account: z.string(), recipient: z.string(), text: z.string(), at: z.string() });

/** What the sandbox took. `at`: ISO 8601. */
export type Delivery = z.infer<typeof entry>;

export function deliveriesOf(json: unknown): Delivery[] {
  return z.array(entry).parse(json);
}

const reply = entry.extend({ told_at: z.string().nullable() });

/** What somebody wrote there. `told_at`: when the app had taken the webhook of it. */
export type Reply = z.infer<typeof reply>;

export function repliesOf(json: unknown): Reply[] {
  return z.array(reply).parse(json);
}

/** How many deliveries were of a message that had been delivered before. Every text of the demo is of one message. */
export function countTwice(deliveries: Delivery[]): number {
  const messages = new Set(
    deliveries.map(({ account, recipient, text }) => JSON.stringify([account, recipient, text])),
  );
  return deliveries.length - messages.size;
}
