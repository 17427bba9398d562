import { z } from 'zod';
import type { Rpc } from '../store/rpc.ts';

export const forecastSchema = z.object({
  queue: z.string(),
  short: z.number().describe('How many of the rows cannot go in these hours. An estimate.'),
  more: z
    .boolean()
    .describe('An hour has 10,000 rows or more, or more than 200 accounts have rows: `short` is the least.'),
  hours: z.array(
    z.object({
      at: z
        .string()
        .describe('The start of the hour. The first one starts now, and has the rows that are due already.'),
      due: z.number(),
      may: z.number().describe('What the accounts of the rows may send in it.'),
    }),
  ),
});

export type Forecast = z.infer<typeof forecastSchema>;

/** Reads what falls due in the next six hours in each queue with accounts, and what these may send. Throws a `StoreError`. */
export async function readForecast(rpc: Rpc): Promise<Forecast[]> {
  return z.array(forecastSchema).parse(await rpc('forecast_hours', {}));
}
