import { z } from 'zod';
import { startBudget } from '../engine/budget';
import { systemClock } from '../engine/clock';
import { container } from './container';
import { refuseCron } from './cron-route';
import { failed, isError } from './failure';
import { json, problem } from './respond';

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
 * Rolls up what every queue did, a queue and a day at a time, until all is or the time is over; what is left goes with the next call.
 * `?day=2026-11-20`: that day alone, once more. Answers `{ steps: [{ queue, day, rows, problem, first_day }], rows, more }`; 422 for what
 * is no day that has begun, 409 for one that retention has taken rows of.
 */
export function rollUpRoute({ maxDuration }: { maxDuration: number }) {
  return async (request: Request): Promise<Response> => {
    const budget = startBudget(systemClock, systemClock.now(), maxDuration * 1_000);
    const refused = refuseCron(request);
    if (refused) return refused;
    const day = new URL(request.url).searchParams.get('day');
    if (day !== null && !z.iso.date().safeParse(day).success) {
      return problem(422, 'invalid', `day is "${day.slice(0, 40)}", and has to be one like 2026-11-20`);
    }
    try {
      const { rpc, log } = await container();
      const steps: Omit<Step, 'more' | 'busy'>[] = [];
      let more = true;
      let lost = 0;
      while (more && budget.admits(stepMs)) {
        const step = await rpc('roll_up', {
          ...(day !== null && { p_day: day, p_after: steps.at(-1)?.queue ?? null }),
        }).then(
          (answer) => stepSchema.parse(answer),
          (error) => {
            // A step over many rows is carried out though nobody waits for its answer: until then the next call finds it busy.
            if (!isError(error, 'StoreError') || error.kind !== 'unavailable' || ++lost > 2) throw error;
            log.warn({ err: error }, 'a step of the roll-up was not answered in time');
            return null;
          },
        );
        if (step === null || step.busy) {
          await new Promise((resolve) => setTimeout(resolve, busyMs));
          continue;
        }
        more = step.more;
        if (step.queue === null) continue;
        const { queue, rows, problem, first_day } = step;
        steps.push({ queue, day: step.day, rows, problem, first_day });
        if (problem) log.error({ queue, day: step.day, problem }, 'a queue could not be rolled up');
      }
      return json(200, { steps, rows: steps.reduce((sum, { rows }) => sum + (rows ?? 0), 0), more });
    } catch (error) {
      if (isError(error, 'StoreError') && error.code === 'PT409')
        return problem(409, 'conflict', error.message);
      if (isError(error, 'StoreError') && error.code === '22023')
        return problem(422, 'invalid', error.message);
      return failed(error);
    }
  };
}
