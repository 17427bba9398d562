import { z } from 'zod';
import { sleep, systemClock } from '../../engine/ports/clock.ts';
import { ConflictError, HttpError } from '../../http/http-error.ts';
import { isError } from '../../services/is-error.ts';
import type { Services } from '../../services/services.ts';
import { type Admits, admitsOf } from '../cron-call.ts';
import type { CronHandler } from '../cron-handler.ts';

const stepSchema = z.object({
  queue: z.string().nullable(),
  day: z.string().nullable(),
  rows: z
    .number()
    .nullable()
    .describe('Null if nothing was rolled up: `busy`, `problem` and `first_day` say why.'),
  more: z.boolean(),
  busy: z.boolean().describe('Another caller is rolling up.'),
  problem: z.string().nullable(),
  first_day: z
    .string()
    .nullable()
    .describe(
      'The first day that can still be rolled up, if retention has deleted rows of the day in the query.',
    ),
});

/** The transport waits this long for one step; the database cancels it after 20 s. */
const stepMs = 5_000;
/** The pause while another caller is rolling up. */
const busyMs = 500;

/**
 * Rolls up the days of every queue until all are done or the time is over; the next call does the rest. `?day=2026-11-20` rolls up that day
 * again. Throws an `HttpError` for a day that has not begun, or whose rows retention has deleted.
 */
export const rollUpHandler: CronHandler = async (services, call) => {
  const day = call.params.get('day');
  if (day !== null && !z.iso.date().safeParse(day).success) {
    const message = `day is "${day.slice(0, 40)}", but must be a date, for example 2026-11-20`;
    throw new HttpError(422, 'invalid', message);
  }
  return { reports: [], body: await rollUp(services, admitsOf(services.ports.clock, call), day) };
};

const doneStep = stepSchema.omit({ more: true, busy: true });

export const rollUpReport = z.object({ steps: z.array(doneStep), rows: z.number(), more: z.boolean() });

type RollUpReport = z.infer<typeof rollUpReport>;

/** Rolls up one queue and day a step. */
export async function rollUp(
  { rpc, log }: Pick<Services, 'rpc' | 'log'>,
  admits: Admits,
  day: string | null = null,
): Promise<RollUpReport> {
  const steps: RollUpReport['steps'] = [];
  let more = true;
  let lost = 0;
  while (more && admits(stepMs)) {
    const step = await rpc('roll_up', {
      ...(day !== null && { p_day: day, p_after: steps.at(-1)?.queue ?? null }),
    }).then(
      (response) => stepSchema.parse(response),
      (error) => {
        // The database finishes a long step after the transport has timed out. Until then the next step responds `busy`.
        if (isError(error, 'StoreError') && error.kind === 'unavailable' && ++lost <= 2) {
          log.warn({ err: error }, 'a step of the roll-up had no response in time');
          return null;
        }
        throw asHttpError(error) ?? error;
      },
    );
    if (step === null || step.busy) {
      await sleep(systemClock, busyMs);
      continue;
    }
    more = step.more;
    if (step.queue === null) continue;
    const { queue, rows, problem, first_day } = step;
    steps.push({ queue, day: step.day, rows, problem, first_day });
    if (problem) log.error({ queue, day: step.day, problem }, 'a queue could not be rolled up');
  }
  return { steps, rows: steps.reduce((sum, { rows }) => sum + (rows ?? 0), 0), more };
}

function asHttpError(error: unknown): HttpError | null {
  if (!isError(error, 'StoreError')) return null;
  if (error.code === 'PT409') return new ConflictError(error.message);
  if (error.code === '22023') return new HttpError(422, 'invalid', error.message);
  return null;
}
