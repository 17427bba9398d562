import { differences, faultsInLog, type ToldSequence, type WatchedSequence } from './check-sequence';
import type { DemoClient } from './demo-client';

type Phases = Record<string, number>;

/** How people in sequences fare, in one line of 80 columns. */
export function sequenceLine(people: number, steps: ToldSequence['steps'], phases: Phases): string {
  const sum = (count: 'sent' | 'reminded') => steps.reduce((total, step) => total + step[count], 0);
  const of = (...names: string[]) => names.reduce((total, name) => total + (phases[name] ?? 0), 0);
  return [
    `${people} enrolled: ${sum('sent')} steps, ${sum('reminded')} reminders`,
    `${of('replied')} replied, ${of('completed')} completed, ${of('in_progress', 'waiting_reply')} go on`,
    ...(of('stopped', 'failed') > 0 ? [`${of('stopped', 'failed')} ended otherwise`] : []),
  ].join(' · ');
}

/** Watches the demo's sequences, and says once whether the app's word of them and the sandbox's log agree. */
export class SequenceWatch {
  readonly #startedMs = Date.now();
  #isOver = false;

  constructor(
    private readonly client: DemoClient,
    private readonly watched: WatchedSequence[],
    private readonly say: (text: string) => void,
  ) {}

  /** How they stand now. Reads the app, and compares when nobody is under way any more. */
  async line(): Promise<string> {
    const told = await Promise.all(this.watched.map((one) => this.client.readSequence(one)));
    const phases: Phases = {};
    for (const phase of told.flatMap((one) => one.phases)) phases[phase] = (phases[phase] ?? 0) + 1;
    const people = this.watched.reduce((sum, one) => sum + one.people.length, 0);
    const underWay = (phases.in_progress ?? 0) + (phases.waiting_reply ?? 0);
    if (underWay === 0 && !this.#isOver) {
      this.#isOver = true;
      this.say(await this.#compare());
    }
    return sequenceLine(
      people,
      told.flatMap(({ steps }) => steps),
      phases,
    );
  }

  async #compare(): Promise<string> {
    const deliveries = await this.client.deliveries();
    const replies = await this.client.replies();
    const faults: string[] = [];
    for (const one of this.watched) {
      const told = await this.client.readSequence(one, true);
      faults.push(...faultsInLog(one, deliveries, replies), ...differences(one, told, deliveries, replies));
    }
    const seconds = Math.round((Date.now() - this.#startedMs) / 1_000);
    return faults.length === 0
      ? `Both sequences are over after ${seconds} s. By the sandbox's log every step went out once, in order, and none after an answer; the funnels and timelines say the same.`
      : `The sequences are over after ${seconds} s, and these are not as they should be:\n  ${faults.join('\n  ')}`;
  }
}
