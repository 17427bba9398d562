import type { Delivery, Reply } from './deliveries.ts';
import type { DemoPerson, DemoSequence } from './inputs/demo-sequences.ts';

export interface DemoEnrolments {
  sequence: DemoSequence;
  people: DemoPerson[];
}

/** The app's figures of a sequence since the demo began. */
export interface ReportedSequence {
  /** The funnel: how many people got each step, and how many its reminder. */
  steps: { sent: number; reminded: number }[];
  /** By recipient. `timeline` has the sent steps, oldest first; a reminder is `1r`. */
  people: Map<string, { timeline: string[]; lastReply: string | null }>;
}

/** A sequence of the demo, with its funnel before the demo enrolled people. */
export interface WatchedSequence extends DemoEnrolments {
  id: string;
  before: ReportedSequence['steps'];
}

/** How long after a reply a message may still go out, if it was claimed before the app had the reply. */
const inFlightMs = 3_000;

/**
 * Returns the faults in the sandbox's deliveries of a sequence, as texts: a step that came twice, out of order, or after a reply that the app had.
 * May be called at any time.
 */
export function faultsInLog(
  { sequence, people }: DemoEnrolments,
  deliveries: Delivery[],
  replies: Reply[],
): string[] {
  return people.flatMap(({ recipient }) => {
    const got = stepsOf(recipient, deliveries);
    const wrote = replies.filter((reply) => reply.recipient === recipient);
    return got.flatMap(({ name, step, atMs }, index) => {
      const before = got[index - 1];
      const isReminder = name.endsWith('r');
      const isNext = isReminder ? before?.name === `${step}` : step === (before?.step ?? 0) + 1;
      // The reply to a message ends the sequence. The reply to a question only cancels its reminder.
      const sinceMs = isReminder ? before?.atMs : sequence.channel === 'linkedin' ? 0 : null;
      const isAfterReply = wrote.some(
        (reply) =>
          typeof sinceMs === 'number' &&
          Date.parse(reply.at) >= sinceMs &&
          reply.reported_at !== null &&
          Date.parse(reply.reported_at) + inFlightMs < atMs,
      );
      return [
        ...(isNext ? [] : [`${recipient} got step ${name} after ${before?.name ?? 'nothing'}`]),
        ...(isAfterReply ? [`${recipient} got step ${name} after the reply`] : []),
      ];
    });
  });
}

/** Returns the differences between the app's figures and the sandbox's log. Valid once every enrolment has ended. */
export function differences(
  { sequence, people }: DemoEnrolments,
  reported: ReportedSequence,
  deliveries: Delivery[],
  replies: Reply[],
): string[] {
  const got = people.map(({ recipient }) => stepsOf(recipient, deliveries).map(({ name }) => name));
  const differing: string[] = [];
  const compare = (figure: string, app: unknown, sandbox: unknown) => {
    if (app !== sandbox) differing.push(`${figure}: the app says ${app}, the sandbox ${sandbox}`);
  };
  for (const index of sequence.steps.keys()) {
    const name = `${index + 1}`;
    const delivered = (step: string) => got.filter((steps) => steps.includes(step)).length;
    compare(`step ${name} went to`, reported.steps[index]?.sent, delivered(name));
    compare(`the reminder of step ${name} went to`, reported.steps[index]?.reminded, delivered(`${name}r`));
  }
  for (const [index, { recipient }] of people.entries()) {
    const { timeline, lastReply } = reported.people.get(recipient) ?? { timeline: [], lastReply: null };
    compare(`${recipient} got`, timeline.join(' '), got[index]?.join(' '));
    const texts = replies.filter((reply) => reply.recipient === recipient).map(({ text }) => text);
    // Replies after the end of the sequence do not belong to it.
    const expected = lastReply !== null && texts.includes(lastReply) ? lastReply : texts.at(-1);
    compare(`${recipient} wrote`, lastReply ?? undefined, expected);
  }
  return differing;
}

/** Returns the steps that a recipient got, in the order of the log: `1`, `1r`, `2` … */
function stepsOf(recipient: string, deliveries: Delivery[]): { name: string; step: number; atMs: number }[] {
  return deliveries.flatMap((delivery) => {
    const match = delivery.recipient === recipient && /\(ref\. \S+-[nq]\d+-((\d+)r?)\)/.exec(delivery.text);
    return match ? [{ name: match[1] ?? '', step: Number(match[2]), atMs: Date.parse(delivery.at) }] : [];
  });
}
