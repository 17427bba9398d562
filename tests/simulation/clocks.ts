import type { VirtualClock } from '../support/virtual-clock';
import type { Faults } from './faults';
import type { RandomStream } from './random';
import { hour, minute, second, type World } from './world';

export interface Call {
  queue: 'dm_queue' | 'enrolments';
  clockName: string;
  limitMs: number;
  looksOnly: boolean;
}

const cron: Call = { queue: 'dm_queue', clockName: 'vercel', limitMs: minute, looksOnly: false };
const worker: Call = { queue: 'dm_queue', clockName: 'worker', limitMs: 3 * minute, looksOnly: false };
const looks: Call = { queue: 'dm_queue', clockName: 'vercel', limitMs: minute, looksOnly: true };

const enrolments: Call = { ...cron, queue: 'enrolments' };

/** What calls the endpoints: crons that are late, that miss, double and overlap, and now and then a worker. */
export function startClocks(
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
      if (faults.strikes(0.04, random)) return;
      const lateMs = faults.strikes(0.1, random)
        ? random.magnitude(1, 240) * second
        : random.between(0, 2) * second;
      clock.timer(lateMs, () => call(what));
      if (faults.strikes(0.05, random))
        clock.timer(lateMs + random.magnitude(0.001, 90) * second, () => call(what));
    };
    clock.timer(random.between(0, periodMs), due);
  };
  repeat(world.cronPeriodMs, cron, random);
  repeat(world.looksPeriodMs, looks, random);
  if (world.batches.length > 0) repeat(world.enrolmentsPeriodMs, enrolments, stream('enrolment clocks'));
  const workNow = () => {
    call(worker);
    clock.timer(random.between(1, 8) * hour, workNow);
  };
  clock.timer(random.between(0, 8) * hour, workNow);
}
