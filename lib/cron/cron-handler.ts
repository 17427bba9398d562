import type { TickReport } from '../engine/tick-report.ts';
import type { Services } from '../services/services.ts';
import type { CronCall } from './cron-call.ts';

/** The code of a cron path, called by its route and by the worker. `errorResponse` maps the errors that it throws to responses. */
export type CronHandler = (services: Services, call: CronCall) => Promise<CronResult>;

interface CronResult {
  /** The ticks that a continuation could follow. */
  reports: TickReport[];
  /** The response's body. */
  body: object;
  /** The first error of a queue or partition. It did not stop the others, and is thrown after them. */
  fault?: unknown;
}
