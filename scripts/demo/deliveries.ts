import { z } from 'zod';

const log = z.array(z.object({ account: z.string(), recipient: z.string(), text: z.string() }));

export type Delivery = z.infer<typeof log>[number];

export function deliveriesOf(json: unknown): Delivery[] {
  return log.parse(json);
}

/** How many deliveries were of a message that had been delivered before. Every text of the demo is of one message. */
export function countTwice(deliveries: Delivery[]): number {
  const messages = new Set(
    deliveries.map(({ account, recipient, text }) => JSON.stringify([account, recipient, text])),
  );
  return deliveries.length - messages.size;
}
