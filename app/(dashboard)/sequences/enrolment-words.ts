import type { Enrolment, EnrolmentWithTimeline, Funnel } from '@/lib/store/conversations.ts';

export type Phase = Enrolment['phase'];
type Event = EnrolmentWithTimeline['timeline'][number];

/** In the order in which a person passes through them. */
export const PHASES: { phase: Phase; label: string; meaning: string; tone: string }[] = [
  {
    phase: 'in_progress',
    label: 'in progress',
    meaning: 'the next step waits for its time, is due or is being sent',
    tone: 'text-busy bg-busy-tint',
  },
  {
    phase: 'waiting_reply',
    label: 'waiting for a reply',
    meaning: 'a question was sent and has no reply yet',
    tone: 'text-busy bg-busy-tint',
  },
  { phase: 'replied', label: 'replied', meaning: 'a reply ended it', tone: 'text-good bg-good-tint' },
  { phase: 'completed', label: 'completed', meaning: 'all steps were sent', tone: 'text-good bg-good-tint' },
  {
    phase: 'stopped',
    label: 'stopped',
    meaning: 'by a person, or for lack of a reply',
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
  withdrawn: (step) => `${step} withdrawn before it was sent`,
  failed: (step) => (step ? `${step} failed` : 'Failed'),
  stopped: () => 'Stopped',
  completed: () => 'Completed',
};

/** Says an event in words for people. */
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

/** Returns the colour of an event's dot. The words beside the dot say what it means. */
export const eventTone = (event: Event['event']) => DOTS[event] ?? 'bg-muted';

/** Names a person: by a name among the variables, or by the address. */
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
  /** 0 to 1, of everyone who was enrolled. */
  sentShare: number;
  /** 0 to 1, of the people who got the step; null if none did. */
  repliedShare: number | null;
}

/** Returns a line for each step. */
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
  advance: 'continues without a reply',
  stop: 'stops without a reply',
};

/** Says the next action in a few words, to which its instant is appended if known. Null if the enrolment is over. */
export function nextWords(enrolment: Enrolment): string | null {
  const { phase, paused_at, next_action, waits_for, step, steps } = enrolment;
  if (phase !== 'in_progress' && phase !== 'waiting_reply') return null;
  if (paused_at !== null) return `paused at step ${step} of ${steps}`;
  const action = next_action === null ? `waits for ${waits_for ?? 'its message'}` : ACTIONS[next_action];
  return `step ${step} of ${steps}, ${action}`;
}
