import { differences, faultsInLog, type ReportedSequence, type WatchedSequence } from './check-sequence.ts';
import type { DemoClient } from './demo-client.ts';

type Phases = Record<string, number>;

/** Returns the figures of all sequences in one line of 80 columns. */
export function sequenceLine(people: number, steps: ReportedSequence['steps'], phases: Phases): string {
  const sum = (count: 'sent' | 'reminded') => steps.reduce((total, step) => total + step[count], 0);
  const of = (...names: string[]) => names.reduce((total, name) => total + (phases[name] ?? 0), 0);
  return [
    `${people} enrolled: ${sum('sent')} steps, ${sum('reminded')} reminders`,
    `${of('replied')} replied, ${of('completed')} completed, ${of('in_progress', 'waiting_reply')} active`,
    ...(of('stopped', 'failed') > 0 ? [`${of('stopped', 'failed')} stopped or failed`] : []),
  ].join(' · ');
}

/** Watches the demo's sequences. When all have ended, prints once whether the app's figures agree with the sandbox's log. */
export class SequenceWatch {
  readonly #startedMs = Date.now();
  #isOver = false;

  constructor(
    private readonly client: DemoClient,
    private readonly watched: WatchedSequence[],
    private readonly say: (text: string) => void,
  ) {}

  /** Reads the current figures. Compares them with the log when no enrolment is active any more. */
  async line(): Promise<string> {
    const reported = await Promise.all(this.watched.map((one) => this.client.readSequence(one)));
    const phases: Phases = {};
    for (const phase of reported.flatMap((one) => one.phases)) phases[phase] = (phases[phase] ?? 0) + 1;
    const people = this.watched.reduce((sum, one) => sum + one.people.length, 0);
    const active = (phases.in_progress ?? 0) + (phases.waiting_reply ?? 0);
    if (active === 0 && !this.#isOver) {
      this.#isOver = true;
      this.say(await this.#compare());
    }
    return sequenceLine(
      people,
      reported.flatMap(({ steps }) => steps),
      phases,
    );
  }

  async #compare(): Promise<string> {
    const deliveries = await this.client.deliveries();
    const replies = await this.client.replies();
    const faults: string[] = [];
    for (const one of this.watched) {
      const reported = await this.client.readSequence(one, true);
      faults.push(
        ...faultsInLog(one, deliveries, replies),
        ...differences(one, reported, deliveries, replies),
      );
    }
    const seconds = Math.round((Date.now() - this.#startedMs) / 1_000);
    return faults.length === 0
      ? `Both sequences have ended after ${seconds} s. In the sandbox's log, every step went out once, in order, and none after a reply. The funnels and timelines agree with it.`
      : `The sequences have ended after ${seconds} s, with faults:\n  ${faults.join('\n  ')}`;
  }
}
