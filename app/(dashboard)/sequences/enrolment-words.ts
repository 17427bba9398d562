import type { Enrolment, EnrolmentWithTimeline, Funnel } from '@/lib/store/conversations';

export type Phase = Enrolment['phase'];
type Event = EnrolmentWithTimeline['timeline'][number];

/** In the order in which a person comes through them. */
export const PHASES: { phase: Phase; label: string; meaning: string; tone: string }[] = [
  {
    phase: 'in_progress',
    label: 'in progress',
    meaning: 'the next step is due, or on its way',
    tone: 'text-busy bg-busy-tint',
  },
  {
    phase: 'waiting_reply',
    label: 'waiting for a reply',
    meaning: 'a question was sent',
    tone: 'text-busy bg-busy-tint',
  },
  { phase: 'replied', label: 'replied', meaning: 'a reply ended it', tone: 'text-good bg-good-tint' },
  { phase: 'completed', label: 'completed', meaning: 'all steps were sent', tone: 'text-good bg-good-tint' },
  {
    phase: 'stopped',
    label: 'stopped',
    meaning: 'by hand, or for want of an answer',
    tone: 'text-muted bg-sunken',
  },
  { phase: 'failed', label: 'failed', meaning: 'a step could not be sent', tone: 'text-bad bg-bad-tint' },
];

export const phaseLabel = (phase: Phase) => PHASES.find((one) => one.phase === phase)?.label ?? phase;
export const phaseTone = (phase: Phase) => PHASES.find((one) => one.phase === phase)?.tone ?? '';

const EVENTS: Record<Event['event'], (step: string) => string> = {
  enrolled: () => 'Enrolled',
  queued: (step) => `${step} queued`,
  sent: (step) => `${step} sent`,
  reminder_queued: (step) => `Reminder of ${step.toLowerCase()} queued`,
  reminded: (step) => `Reminder of ${step.toLowerCase()} sent`,
  replied: (step) => (step ? `Reply to ${step.toLowerCase()}` : 'Reply'),
  paused: () => 'Paused',
  resumed: () => 'Resumed',
  unknown: (step) => `${step}: nobody knows yet whether it was sent`,
  withdrawn: (step) => `${step} taken back before it was sent`,
  failed: (step) => (step ? `${step} failed` : 'Failed'),
  stopped: () => 'Stopped',
  completed: () => 'Completed',
};

/** What happened, in words for people. */
export function eventWords({ event, step }: Pick<Event, 'event' | 'step'>): string {
  return EVENTS[event](step === null ? '' : `Step ${step}`);
}

const DOTS: Partial<Record<Event['event'], string>> = {
  sent: 'bg-good-bar',
  reminded: 'bg-good-bar',
  completed: 'bg-good-bar',
  replied: 'bg-busy',
  paused: 'bg-warn-bar',
  unknown: 'bg-warn-bar',
  withdrawn: 'bg-warn-bar',
  failed: 'bg-bad-bar',
};

/** Of its dot; what it means stands beside it in words. */
export const eventTone = (event: Event['event']) => DOTS[event] ?? 'bg-muted';

/** Who it is: by a name among the variables, where there is one. */
export function personOf({
  variables,
  recipient,
  chat_id,
}: Pick<Enrolment, 'variables' | 'recipient' | 'chat_id'>): string {
  const named = variables.name ?? [variables.first_name, variables.last_name].filter(Boolean).join(' ');
  return named || recipient || chat_id || 'nobody';
}

export interface FunnelLine {
  step: number;
  kind: 'message' | 'question';
  body: string | null;
  at: number;
  sent: number;
  reminded: number;
  replied: number;
  /** From 0 to 1, of all who were enrolled. */
  sentShare: number;
  /** From 0 to 1, of those who got the step. */
  repliedShare: number | null;
}

/** A line for each step. */
export function funnelLines({ enrolled, steps }: Pick<Funnel, 'enrolled' | 'steps'>): FunnelLine[] {
  return steps.map((step) => ({
    ...step,
    sentShare: enrolled === 0 ? 0 : step.sent / enrolled,
    repliedShare: step.sent === 0 ? null : step.replied / step.sent,
  }));
}

const ACTIONS: Record<NonNullable<Enrolment['next_action']>, string> = {
  send: 'due',
  remind: 'reminder',
  go_on: 'goes on without an answer',
  stop: 'ends without an answer',
};

/** What comes next, in a few words, before its instant where there is one; null where nothing does. */
export function nextWords(enrolment: Enrolment): string | null {
  const { phase, paused_at, next_action, waits_for, step, steps } = enrolment;
  if (phase !== 'in_progress' && phase !== 'waiting_reply') return null;
  if (paused_at !== null) return `paused at step ${step} of ${steps}`;
  const doing = next_action === null ? `waits for ${waits_for ?? 'its message'}` : ACTIONS[next_action];
  return `step ${step} of ${steps}, ${doing}`;
}
