import { z } from 'zod';
import { sleep, systemClock } from '../../engine/ports/clock';
import { ConflictError, HttpError } from '../../http/http-error';
import type { Container } from '../../services/container';
import { isError } from '../../services/is-error';
import { type Admits, admitsOf } from '../cron-call';
import type { CronWork } from '../cron-work';

const stepSchema = z.object({
  queue: z.string().nullable(),
  day: z.string().nullable(),
  /** Null where nothing was rolled up: see the others. */
  rows: z.number().nullable(),
  more: z.boolean(),
  /** Another roll-up is at work. */
  busy: z.boolean(),
  problem: z.string().nullable(),
  /** Retention has taken rows of the day: the first that could be rolled up again. */
  first_day: z.string().nullable(),
});
type Step = z.infer<typeof stepSchema>;

/** The longest one step is waited for: the transport gives it up then, and the database ends it at 20 s. */
const stepMs = 5_000;
/** Until a step that another caller is at is asked about again. */
const busyMs = 500;

/**
 * Rolls up what every queue did, until all is or the time is over; what is left goes with the next call. `?day=2026-11-20`: that day
 * alone, once more. Throws an `HttpError` for what is no day that has begun, and for one that retention has taken rows of.
 */
export const rollUpWork: CronWork = async (shared, call) => {
  const day = call.params.get('day');
  if (day !== null && !z.iso.date().safeParse(day).success) {
    const said = `day is "${day.slice(0, 40)}", and has to be one like 2026-11-20`;
    throw new HttpError(422, 'invalid', said);
  }
  return { reports: [], body: await rollUp(shared, admitsOf(shared.ports.clock, call), day) };
};

type DoneStep = Omit<Step, 'more' | 'busy'>;

/** A queue and a day at a time. */
export async function rollUp(
  { rpc, log }: Pick<Container, 'rpc' | 'log'>,
  admits: Admits,
  day: string | null = null,
): Promise<{ steps: DoneStep[]; rows: number; more: boolean }> {
  const steps: DoneStep[] = [];
  let more = true;
  let lost = 0;
  while (more && admits(stepMs)) {
    const step = await rpc('roll_up', {
      ...(day !== null && { p_day: day, p_after: steps.at(-1)?.queue ?? null }),
    }).then(
      (answer) => stepSchema.parse(answer),
      (error) => {
        // A step over many rows is carried out though nobody waits for its answer: until then the next call finds it busy.
        if (isError(error, 'StoreError') && error.kind === 'unavailable' && ++lost <= 2) {
          log.warn({ err: error }, 'a step of the roll-up was not answered in time');
          return null;
        }
        throw refusalOf(error) ?? error;
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

function refusalOf(error: unknown): HttpError | null {
  if (!isError(error, 'StoreError')) return null;
  if (error.code === 'PT409') return new ConflictError(error.message);
  if (error.code === '22023') return new HttpError(422, 'invalid', error.message);
  return null;
}
