import { z } from 'zod';
import { NotFoundError, toHttpError } from '../../http/http-error.ts';
import { instant } from '../../http/input/instant.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import type { Rpc } from '../../store/rpc.ts';
import { type Need, needSchema } from './need.ts';

export const snoozeSchema = z.object({
  key: z.string(),
  until: z.string(),
  count: z.number().describe('What the line counted, and was about, when it was put off.'),
  parts: z.array(z.string()),
  name: z.string().describe('Who did it, and when.'),
  at: z.string(),
});

export type Snooze = z.infer<typeof snoozeSchema>;
export const listedNeed = needSchema.extend({
  snoozed: snoozeSchema.nullable().describe('Null unless a person put it off.'),
});

export type ListedNeed = z.infer<typeof listedNeed>;

export const snoozeInput = z.strictObject({
  until: instant.describe('When it shows again, 31 days away at most.'),
});

/** Lists the snoozes that have not ended. Throws a `StoreError`. */
export async function listSnoozes(rpc: Rpc): Promise<Snooze[]> {
  return z.array(snoozeSchema).parse(await rpc('list_snoozes', {}));
}

/** Joins lines with their snoozes. `worse`: the snoozes that have to end, whose lines have grown by more than half, or are about something new. */
export function applySnoozes(needs: Need[], snoozes: Snooze[]): { needs: ListedNeed[]; worse: Snooze[] } {
  const byKey = new Map(snoozes.map((snooze) => [snooze.key, snooze]));
  const worse: Snooze[] = [];
  const listed = needs.map((need) => {
    const snooze = byKey.get(need.key) ?? null;
    if (snooze === null || !isWorse(need, snooze)) return { ...need, snoozed: snooze };
    worse.push(snooze);
    return { ...need, snoozed: null };
  });
  return { needs: listed, worse };
}

function isWorse({ count, parts }: Need, snooze: Snooze): boolean {
  return count > snooze.count * 1.5 || parts.some((part) => !snooze.parts.includes(part));
}

/** Ends snoozes as they were read; later ones of the same lines stay. Throws a `StoreError`. */
export async function endSnoozes(rpc: Rpc, snoozes: Snooze[]): Promise<void> {
  if (snoozes.length > 0)
    await rpc('end_snoozes', { p_snoozes: snoozes.map(({ key, at }) => ({ key, at })) });
}

/** Puts one of `needs` off, until `until` of the body, 31 days at most. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function snoozeNeed(
  rpc: Rpc,
  needs: Need[],
  key: string,
  body: unknown,
  by: string,
): Promise<Snooze> {
  const { until } = parseInput(snoozeInput, body);
  const need = needs.find((one) => one.key === key);
  if (!need) throw noSuchLine();
  const { count, parts, queue } = need;
  try {
    return snoozeSchema.parse(
      await rpc('snooze_need', {
        p_key: key,
        p_until: until,
        p_count: count,
        p_parts: parts,
        p_queue: queue,
        p_by: by,
      }),
    );
  } catch (error) {
    throw toHttpError(error, 'until');
  }
}

export const endedSnooze = z.object({ key: z.string() });

/** Ends the snooze of a line, also of one that is gone. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function wakeNeed(rpc: Rpc, needs: Need[], key: string, by: string): Promise<{ key: string }> {
  if (!/^[\w.-]{1,200}$/.test(key)) throw noSuchLine();
  const queue = needs.find((one) => one.key === key)?.queue ?? null;
  return endedSnooze.parse(await rpc('wake_need', { p_key: key, p_queue: queue, p_by: by }));
}

const noSuchLine = () => new NotFoundError('there is no such line, or it is gone: GET /api/needs lists them');
