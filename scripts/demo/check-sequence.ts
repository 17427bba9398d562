import type { Delivery, Reply } from './deliveries';
import type { DemoPerson, DemoSequence } from './inputs/demo-sequences';

export interface DemoEnrolments {
  sequence: DemoSequence;
  people: DemoPerson[];
}

/** What the app tells of a sequence since the demo began. */
export interface ToldSequence {
  /** Of each step, how many people got it, and how many its reminder: the funnel. */
  steps: { sent: number; reminded: number }[];
  /** By recipient. `timeline`: the steps that were sent, a reminder with an r after it, oldest first. */
  people: Map<string, { timeline: string[]; lastReply: string | null }>;
}

/** A sequence of the demo's, as it stood before anybody was enrolled in it. */
export interface WatchedSequence extends DemoEnrolments {
  id: string;
  before: ToldSequence['steps'];
}

/** A message that was claimed before an answer was heard may still go out, as late as this after it. */
const underWayMs = 3_000;

/**
 * What is wrong with what the sandbox delivered of a sequence: a step that came twice, out of its order or after an answer that was known.
 * For a person to read; empty where all is well, at any moment.
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
      // A message's answer ends everything; a question's only keeps its own reminder back.
      const sinceMs = isReminder ? before?.atMs : sequence.channel === 'linkedin' ? 0 : null;
      const isAfterAnswer = wrote.some(
        (reply) =>
          typeof sinceMs === 'number' &&
          Date.parse(reply.at) >= sinceMs &&
          reply.told_at !== null &&
          Date.parse(reply.told_at) + underWayMs < atMs,
      );
      return [
        ...(isNext ? [] : [`${recipient} got step ${name} after ${before?.name ?? 'nothing'}`]),
        ...(isAfterAnswer ? [`${recipient} got step ${name} after the answer`] : []),
      ];
    });
  });
}

/** Where the app says otherwise than the sandbox: true once everybody's way through the sequence is over. */
export function differences(
  { sequence, people }: DemoEnrolments,
  told: ToldSequence,
  deliveries: Delivery[],
  replies: Reply[],
): string[] {
  const got = people.map(({ recipient }) => stepsOf(recipient, deliveries).map(({ name }) => name));
  const differing: string[] = [];
  const compare = (what: string, app: unknown, sandbox: unknown) => {
    if (app !== sandbox) differing.push(`${what}: the app says ${app}, the sandbox ${sandbox}`);
  };
  for (const index of sequence.steps.keys()) {
    const name = `${index + 1}`;
    const delivered = (step: string) => got.filter((steps) => steps.includes(step)).length;
    compare(`step ${name} went to`, told.steps[index]?.sent, delivered(name));
    compare(`the reminder of step ${name} went to`, told.steps[index]?.reminded, delivered(`${name}r`));
  }
  for (const [index, { recipient }] of people.entries()) {
    const { timeline, lastReply } = told.people.get(recipient) ?? { timeline: [], lastReply: null };
    compare(`${recipient} got`, timeline.join(' '), got[index]?.join(' '));
    const texts = replies.filter((reply) => reply.recipient === recipient).map(({ text }) => text);
    // What is said once the sequence is over is no part of it.
    const said = lastReply !== null && texts.includes(lastReply) ? lastReply : texts.at(-1);
    compare(`${recipient} wrote`, lastReply ?? undefined, said);
  }
  return differing;
}

/** What of a sequence somebody got, in the order of the log: `1`, `1r`, `2` … */
function stepsOf(recipient: string, deliveries: Delivery[]): { name: string; step: number; atMs: number }[] {
  return deliveries.flatMap((delivery) => {
    const match = delivery.recipient === recipient && /\(ref\. \S+-[nq]\d+-((\d+)r?)\)/.exec(delivery.text);
    return match ? [{ name: match[1] ?? '', step: Number(match[2]), atMs: Date.parse(delivery.at) }] : [];
  });
}
