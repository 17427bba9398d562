import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import { hour, minute, second, type World } from './world.ts';

export interface Call {
  queue: 'dm_queue' | 'enrolments' | 'posts' | 'jobs';
  scheduler: string;
  limitMs: number;
  /** The call only checks unknown rows. */
  reconciles: boolean;
}

const cron: Call = { queue: 'dm_queue', scheduler: 'vercel', limitMs: minute, reconciles: false };
const worker: Call = { queue: 'dm_queue', scheduler: 'worker', limitMs: 3 * minute, reconciles: false };
const reconciling: Call = { queue: 'dm_queue', scheduler: 'vercel', limitMs: minute, reconciles: true };

const enrolments: Call = { ...cron, queue: 'enrolments' };
const posts: Call = { ...cron, queue: 'posts' };
const jobs: Call = { ...cron, queue: 'jobs' };

/** Starts the schedulers: crons whose calls are late, missing, doubled or overlapping, and a worker every few hours. */
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
  const repeat = (periodMs: number, one: Call, random: RandomStream) => {
    const fire = () => {
      clock.timer(periodMs, fire);
      if (faults.strikes(0.04, random, 'clock: missed')) return;
      const lateMs = faults.strikes(0.1, random, 'clock: late')
        ? random.magnitude(1, 240) * second
        : random.between(0, 2) * second;
      clock.timer(lateMs, () => call(one));
      if (faults.strikes(0.05, random, 'clock: doubled'))
        clock.timer(lateMs + random.magnitude(0.001, 90) * second, () => call(one));
    };
    clock.timer(random.between(0, periodMs), fire);
  };
  repeat(world.cronPeriodMs, cron, random);
  repeat(world.checksPeriodMs, reconciling, random);
  if (world.batches.length > 0) repeat(world.enrolmentsPeriodMs, enrolments, stream('enrolment clocks'));
  if (world.posts.length > 0) {
    repeat(world.postsPeriodMs, posts, stream('post clocks'));
    repeat(2 * world.checksPeriodMs, { ...reconciling, queue: 'posts' }, stream('looks at posts'));
  }
  if (world.jobs.length > 0) repeat(world.jobsPeriodMs, jobs, stream('job clocks'));
  const callWorker = () => {
    call(worker);
    clock.timer(random.between(1, 8) * hour, callWorker);
  };
  clock.timer(random.between(0, 8) * hour, callWorker);
}
