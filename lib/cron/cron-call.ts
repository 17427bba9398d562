import { z } from 'zod';
import { startBudget } from '../engine/budget.ts';
import { type Clock, systemClock } from '../engine/ports/clock.ts';
import type { StopSignal } from '../engine/ports/stop-signal.ts';
import { callHeaders } from './call-headers.ts';
import { readSchedule, readScheduler, readSlot } from './slots/slot.ts';

/** One call of a scheduler, over HTTP or inside the worker's process. */
export interface CronCall {
  /** The endpoint's path, with the query parameter `partition` if given: `/api/cron/jobs?partition=reports`. */
  path: string;
  params: URLSearchParams;
  scheduler: string;
  /** ISO 8601; null if unknown. */
  slot: string | null;
  /** A cron expression in UTC; null if unknown. */
  schedule: string | null;
  /** 0 for the scheduler's own call; one more for each continuation. */
  continuation: number;
  /** A UUID that a call's ticks share with their continuations. */
  runId: string;
  /** When the call began: the route's first line, or the worker's call. In the clock's milliseconds. */
  startedAt: number;
  /** The call's execution limit in seconds. The platform enforces it. In the worker nothing does, but every handler keeps to it. */
  maxDuration: number;
  /** Ends the call early. */
  stop?: StopSignal;
  /** Work ends at this time at the latest, in the clock's milliseconds. */
  endBy?: number;
}

const continuationText = z.string().regex(/^\d{1,4}$/);
const runIdText = z.uuid();

/** Parses a scheduler's request. The caller has checked the secret. Missing or malformed headers are ignored. */
export function readCall(
  request: Request,
  { maxDuration, startedAt = systemClock.now() }: { maxDuration: number; startedAt?: number },
): CronCall {
  const { headers } = request;
  const { pathname, searchParams } = new URL(request.url);
  const continuation = continuationText.safeParse(headers.get(callHeaders.continuation));
  const runId = runIdText.safeParse(headers.get(callHeaders.runId));
  // A continuation without a valid run id counts as the scheduler's own call.
  const isContinuation = continuation.success && runId.success;
  return {
    path: pathOf(pathname, searchParams),
    params: searchParams,
    scheduler: readScheduler(headers),
    slot: readSlot(headers, Date.now()),
    schedule: readSchedule(headers),
    continuation: isContinuation ? Number(continuation.data) : 0,
    runId: isContinuation ? runId.data : crypto.randomUUID(),
    startedAt,
    maxDuration,
  };
}

/** Returns whether work of up to `ms` milliseconds may still start. */
export type Admits = (ms: number) => boolean;

/** Returns a function that admits work while it fits into the call's budget. It admits none after the stop signal. */
export function admitsOf(clock: Clock, { startedAt, maxDuration, stop }: CronCall): Admits {
  const budget = startBudget(clock, startedAt, maxDuration * 1_000);
  return (ms) => !stop?.signal.aborted && budget.admits(ms);
}

/** Returns the path for the ledger. Leaves out the query except `partition`, because other parameters may hold a secret. */
function pathOf(pathname: string, params: URLSearchParams): string {
  const partition = params.get('partition');
  const query = partition === null ? '' : `?partition=${encodeURIComponent(partition)}`;
  return `${pathname}${query}`.slice(0, 1_000);
}
