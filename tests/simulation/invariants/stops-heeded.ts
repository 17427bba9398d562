import type { FinishedRun } from '../run-simulation.ts';
import { answers, lastSent, type Story, storiesOf, told8601 } from '../sequence-reckoning.ts';
import type { Violation } from './violation.ts';

/**
 * No message of an enrolment is claimed after it was known that there shall be none: by a reply to a step that says `stop`, by whoever
 * stopped it, and by whoever paused it, until it is resumed. What was claimed before may come to its end.
 */
export function stopsHeeded(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) => {
    const claims = story.rows.flatMap(({ row, claims, step, isReminder }) =>
      claims.map((at) => ({
        at,
        what: `${isReminder ? 'the reminder of ' : ''}step ${step} (row ${row.id})`,
      })),
    );
    return [...afterReplies(story), ...afterActs(story)].flatMap(({ why, from, to }) => {
      const claim = claims.find(({ at }) => at > from && at < to);
      if (!claim) return [];
      return [
        {
          invariant: `nothing is claimed after it was stopped (${why})`,
          details: `enrolment ${story.enrolled.id}: ${claim.what} was claimed at ${told8601(claim.at)}, and since ${told8601(from)} it was not to be`,
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
  const ban = (from: number) => bans.push({ why: 'by a reply', from, to: Number.POSITIVE_INFINITY });
  for (const reply of story.replies) {
    const { knownAt, madeAt } = reply;
    if (madeAt < enrolledAt) continue;
    // What holds is the rule of the step that was sent last. What was sent in the same instant came before or after.
    const [before, after] = [lastSent(story, knownAt - 1), lastSent(story, knownAt)];
    if (before === after && steps[Math.max(1, after) - 1]?.on_reply === 'stop') ban(knownAt);
    // An answer to what was on its way, and is known to have been sent since.
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
    return [{ why: `by ${kind}`, from: at, to: to ?? Number.POSITIVE_INFINITY }];
  });
}
