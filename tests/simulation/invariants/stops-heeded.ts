import { answers, iso8601, lastSent, type Story, storiesOf } from '../enrolment-stories.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/**
 * No message of an enrolment is claimed after a known reply to a step with `stop`, after an operator stopped it, or while it is paused. A
 * message that was claimed before may still go out.
 */
export function stopsHeeded(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) => {
    const claims = story.rows.flatMap(({ row, claims, step, isReminder }) =>
      claims.map((at) => ({
        at,
        label: `${isReminder ? 'the reminder of ' : ''}step ${step} (row ${row.id})`,
      })),
    );
    return [...afterReplies(story), ...afterActs(story)].flatMap(({ why, from, to }) => {
      const claim = claims.find(({ at }) => at > from && at < to);
      if (!claim) return [];
      return [
        {
          invariant: `no message is claimed after a ${why}`,
          details: `enrolment ${story.enrolled.id}: ${claim.label} was claimed at ${iso8601(claim.at)}, although no message was allowed from ${iso8601(from)} on`,
        },
      ];
    });
  });
}

interface Ban {
  why: string;
  from: number;
  to: number;
}

function afterReplies(story: Story): Ban[] {
  const { steps, at: enrolledAt } = story.enrolled;
  const bans: Ban[] = [];
  const ban = (from: number) => bans.push({ why: 'reply', from, to: Number.POSITIVE_INFINITY });
  for (const reply of story.replies) {
    const { knownAt, madeAt } = reply;
    if (madeAt < enrolledAt) continue;
    // The rule of the last step that was sent applies. If a step was sent in the same instant, the order is open.
    const [before, after] = [lastSent(story, knownAt - 1), lastSent(story, knownAt)];
    if (before === after && steps[Math.max(1, after) - 1]?.on_reply === 'stop') ban(knownAt);
    // An answer to a step whose send was recorded only after the reply.
    for (const { step, isReminder, sentAt } of story.rows) {
      if (isReminder || sentAt === null || sentAt <= knownAt || steps[step - 1]?.on_reply !== 'stop')
        continue;
      if (answers(story, reply, step)) ban(sentAt);
    }
  }
  return bans;
}

function afterActs({ acts }: Story): Ban[] {
  return acts.flatMap(({ kind, at }, n) => {
    if (kind === 'resume') return [];
    const to = kind === 'stop' ? undefined : acts.slice(n + 1).find((act) => act.kind === 'resume')?.at;
    return [{ why: kind, from: at, to: to ?? Number.POSITIVE_INFINITY }];
  });
}
