import { accountHref, errorHref, queueHref, rowHref } from '@/components/link.ts';
import type { Act } from '@/lib/operate/audit.ts';
import { plural } from '@/lib/stats/plural.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

/** What acts do not have themselves. */
export interface ActNames {
  /** The words of each queue's states, by its name. */
  words: ReadonlyMap<string, QueueStats['words']>;
  /** The accounts' names, by their ids. */
  accounts: ReadonlyMap<string, string>;
}

/** An act as one sentence without the name: before its target, the target, which may be a link, and after it. */
export interface ActWords {
  before: string;
  target: string;
  href: string | null;
  after: string;
}

/** What each bulk action does to its rows. */
const BULK: Record<string, string> = {
  retry: 'retried',
  retry_now: 'retried at once',
  reschedule: 'moved',
  prioritise: 'changed the priority of',
  cancel: 'cancelled',
  delete: 'deleted',
  stop: 'stopped',
  continue: 'continued',
};

/** Says what a person did, with a link to what they did it to: `marked` `row 97 of dm_queue` `sent`. */
export function actInWords(act: Act, { words, accounts }: ActNames): ActWords {
  const { queue, target } = act;
  const inQueue = queue ?? 'a queue';
  const say = (before: string, noun: string, href: string | null = null, after = ''): ActWords => ({
    before,
    target: noun,
    href,
    after,
  });
  const account = `account ${accounts.get(target ?? '') ?? ''}`.trim();
  const settings = queueHref(inQueue, '/settings');
  const part = target === null ? inQueue : `partition ${target} of ${inQueue}`;
  switch (act.act) {
    case 'resolve_row': {
      const href = target && queueHref(inQueue, `/rows/${encodeURIComponent(target)}`);
      const row = `row ${target} of ${inQueue}`;
      const decision = String(act.details?.decision ?? '');
      if (decision === 'cancelled') return say('cancelled', row, href);
      if (decision === 'pending') return say('sent', row, href, 'back to be tried again');
      const word = words.get(inQueue)?.[decision as keyof QueueStats['words']] ?? decision;
      return say('marked', row, href, word);
    }
    case 'send_test_row':
      return say('sent', `test row ${target} of ${inQueue}`, target && rowHref(inQueue, target));
    case 'change_post':
      return say('changed', `post ${target}`, queueHref('posts', `/rows/${target}`));
    case 'pause_queue':
      return say('paused', part, settings, until(act.details?.paused_until));
    case 'resume_queue':
      return say('resumed', part, settings);
    case 'change_settings':
      return say('changed the settings of', part, settings);
    case 'run_queue':
      return say('ran a tick of', part, queueHref(inQueue, '/ticks'));
    case 'save_account': {
      const isNew = !hasFields(act.details?.before);
      return say(isNew ? 'added' : 'changed', account, target && accountHref(target));
    }
    case 'pause_account': {
      const after = (act.details?.after ?? {}) as { paused_until?: unknown };
      return say('paused', account, target && accountHref(target), until(after.paused_until));
    }
    case 'resume_account':
      return say('resumed', account, target && accountHref(target));
    case 'end_refusal':
      return target === null
        ? say('had', `${act.details?.provider ?? 'a provider'}`, null, 'tried again')
        : say('had', account, accountHref(target), 'tried again');
    case 'pause_enrolment':
    case 'resume_enrolment':
    case 'stop_enrolment': {
      const verb = { pause: 'paused', resume: 'resumed', stop: 'stopped' }[act.act.split('_')[0] ?? ''];
      return say(verb ?? '', `enrolment ${target}`, queueHref('enrolments', `/rows/${target}`));
    }
    case 'create_sequence':
    case 'change_sequence': {
      const verb = act.act === 'create_sequence' ? 'created' : 'changed';
      return say(verb, `sequence ${act.details?.name ?? target}`, target && `/sequences/${target}`);
    }
    case 'create_monitors': {
      const ids = act.details?.ids;
      return say('added', plural(Array.isArray(ids) ? ids.length : 1, 'monitor'), '/monitors');
    }
    case 'change_monitor':
      return say('changed', `monitor ${target}`, '/monitors');
    case 'delete_monitor':
      return say('deleted', `monitor ${act.details?.name ?? target}`, '/monitors');
    case 'save_region':
      return say('saved', `region ${target}`, '/monitors');
    case 'remove_region':
      return say('removed', `region ${target}`, '/monitors');
    case 'mark_error':
      return say(
        'marked',
        `an error of ${inQueue}`,
        target && errorHref(inQueue, target),
        act.details?.known === false ? 'as new again' : 'as known',
      );
    case 'snooze_need':
      return say('snoozed', lineName(act), '/', until(act.details?.until));
    case 'wake_need':
      return say('woke', lineName(act), '/');
    case 'forget_person':
      return say('deleted', 'a person’s data');
  }
  const verb = BULK[act.act];
  if (verb === undefined) return say(act.act.replaceAll('_', ' '), target ?? queue ?? '');
  const id = /^action (\d+)$/.exec(target ?? '')?.[1];
  const rows = plural(Number(act.details?.rows ?? 0), 'row');
  const isStep = act.act === 'stop' || act.act === 'continue';
  return say(verb, isStep ? `action ${id}` : `${rows} of ${inQueue}`, id ? `/actions/${id}` : null);
}

/** Lists what a change changed: `concurrency 5 → 8`. Of a pause, the sentence says all but the reason. */
export function changesInWords({ act, details }: Act): string[] {
  const { before, after } = (details ?? {}) as { before?: unknown; after?: unknown };
  if (!hasFields(after)) return [];
  if (act === 'pause_account') return after.paused_reason ? [`“${after.paused_reason}”`] : [];
  if (act === 'resume_account') return [];
  const was = hasFields(before) ? before : {};
  // A new object has no before, and its fields say nothing that its page does not.
  if (!hasFields(before)) return [];
  return Object.entries(after).map(
    ([name, value]) => `${name.replaceAll('_', ' ')} ${valueInWords(was[name])} → ${valueInWords(value)}`,
  );
}

/** Names a line of “Needs you” by its key: `a line of dm_queue (failed)`. */
function lineName({ queue, target }: Act): string {
  const key = target ?? '';
  const [kind = key] = (queue === null ? key : key.slice(queue.length + 1)).split('.');
  return queue === null ? `a line of Today (${kind})` : `a line of ${queue} (${kind})`;
}

function until(value: unknown): string {
  if (typeof value !== 'string' || value === 'infinity') return 'until somebody resumes';
  return `until ${value.slice(0, 16).replace('T', ' ')} UTC`;
}

function valueInWords(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (value === 'infinity') return 'until somebody resumes';
  if (Array.isArray(value)) return value.map(valueInWords).join(' ') || 'none';
  if (hasFields(value))
    return Object.entries(value)
      .map(([name, part]) => `${name} ${valueInWords(part)}`)
      .join(', ');
  return String(value);
}

function hasFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
