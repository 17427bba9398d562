import type { VirtualClock } from '../support/virtual-clock.ts';
import type { Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import { hour, minute, second, type World } from './world.ts';

export interface Call {
  queue: 'dm_queue' | 'enrolments' | 'posts' | 'jobs';
  scheduler: string;
  limitMs: number;
  /** Only checks unknown rows. */
  reconciles: boolean;
}

const cron: Call = { queue: 'dm_queue', scheduler: 'vercel', limitMs: minute, reconciles: false };
const worker: Call = { queue: 'dm_queue', scheduler: 'worker', limitMs: 3 * minute, reconciles: false };
const reconciling: Call = { queue: 'dm_queue', scheduler: 'vercel', limitMs: minute, reconciles: true };

const enrolments: Call = { ...cron, queue: 'enrolments' };
const posts: Call = { ...cron, queue: 'posts' };
const jobs: Call = { ...cron, queue: 'jobs' };

/** What calls the endpoints: crons that are late, that miss, double and overlap, and now and then a worker. */
export function startSchedulers(
  {
    world,
    clock,
    faults,
    stream,
  }: { world: World; clock: VirtualClock; faults: Faults; stream: (name: string) => RandomStream },
  call: (call: Call) => void,
): void {
  const random = stream('clocks');
  const repeat = (periodMs: number, what: Call, random: RandomStream) => {
    const due = () => {
      clock.timer(periodMs, due);
      if (faults.strikes(0.04, random, 'clock: missed')) return;
      const lateMs = faults.strikes(0.1, random, 'clock: late')
        ? random.magnitude(1, 240) * second
        : random.between(0, 2) * second;
      clock.timer(lateMs, () => call(what));
      if (faults.strikes(0.05, random, 'clock: doubled'))
        clock.timer(lateMs + random.magnitude(0.001, 90) * second, () => call(what));
    };
    clock.timer(random.between(0, periodMs), due);
  };
  repeat(world.cronPeriodMs, cron, random);
  repeat(world.checksPeriodMs, reconciling, random);
  if (world.batches.length > 0) repeat(world.enrolmentsPeriodMs, enrolments, stream('enrolment clocks'));
  if (world.posts.length > 0) {
    repeat(world.postsPeriodMs, posts, stream('post clocks'));
    repeat(2 * world.checksPeriodMs, { ...reconciling, queue: 'posts' }, stream('looks at posts'));
  }
  if (world.jobs.length > 0) repeat(world.jobsPeriodMs, jobs, stream('job clocks'));
  const workNow = () => {
    call(worker);
    clock.timer(random.between(1, 8) * hour, workNow);
  };
  clock.timer(random.between(0, 8) * hour, workNow);
}
