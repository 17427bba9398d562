import { describe, expect, it } from 'vitest';
import {
  eventWords,
  funnelLines,
  nextWords,
  PHASES,
  personOf,
  phaseLabel,
} from '@/app/(dashboard)/sequences/enrolment-words.ts';
import { type Enrolment, enrolmentEvents, phases } from '@/lib/store/conversations.ts';

const enrolment = (changes: Partial<Enrolment> = {}) =>
  ({
    phase: 'in_progress',
    step: 2,
    steps: 5,
    paused_at: null,
    next_action: null,
    waits_for: null,
    variables: {},
    recipient: null,
    chat_id: null,
    ...changes,
  }) as Enrolment;

describe('the timeline', () => {
  it('has words for every event, with and without a step', () => {
    const lines = enrolmentEvents.map((event) => eventWords({ event, step: 3 }));
    expect(new Set(lines).size).toBe(enrolmentEvents.length);
    expect(lines).toContain('Step 3 sent');
    expect(lines).toContain('Reminder of step 3 queued');
    expect(lines).toContain('Reply to step 3');
    expect(eventWords({ event: 'replied', step: null })).toBe('Reply');
    // A provider may report late that a step's message was not delivered. The step fails, and the enrolment goes on.
    expect(lines).toContain('Step 3 failed');
  });

  it('has a label for every phase', () => {
    expect(PHASES.map(({ phase }) => phase)).toEqual([...phases]);
    expect(phaseLabel('waiting_reply')).toBe('waiting for a reply');
  });
});

describe('an enrolment', () => {
  it.each<[changes: Partial<Enrolment>, person: string]>([
    [{ variables: { name: 'Ann' }, recipient: 'x' }, 'Ann'],
    [{ variables: { first_name: 'Ann', last_name: 'Lee' } }, 'Ann Lee'],
    [{ variables: { company: 'Acme' }, recipient: '+49 170' }, '+49 170'],
    [{ chat_id: 'c1' }, 'c1'],
  ])('with %j shows the person’s name if the variables have one, else the address: %s', (changes, person) => {
    expect(personOf(enrolment(changes))).toBe(person);
  });

  it.each<[changes: Partial<Enrolment>, words: string | null]>([
    [{ next_action: 'send' }, 'step 2 of 5, due'],
    [{ phase: 'waiting_reply', next_action: 'remind' }, 'step 2 of 5, reminder'],
    [{ waits_for: 'its message 7' }, 'step 2 of 5, waits for its message 7'],
    [{ paused_at: '2026-03-02T12:00:00Z' }, 'paused at step 2 of 5'],
    [{ phase: 'replied' }, null],
  ])('with %j shows its next step until it is over: %s', (changes, words) => {
    expect(nextWords(enrolment(changes))).toBe(words);
  });
});

describe('a funnel', () => {
  it('shows the share of enrolled people who got each step, and of those the share who replied', () => {
    const step = { kind: 'message' as const, body: 'x', at: 0, reminded: 0 };
    const steps = [
      { ...step, step: 1, sent: 8, replied: 2 },
      { ...step, step: 2, sent: 0, replied: 0 },
    ];
    expect(funnelLines({ enrolled: 10, steps })).toMatchObject([
      { sentShare: 0.8, repliedShare: 0.25 },
      { sentShare: 0, repliedShare: null },
    ]);
    expect(funnelLines({ enrolled: 0, steps: [{ ...step, step: 1, sent: 0, replied: 0 }] })).toMatchObject([
      { sentShare: 0 },
    ]);
  });
});
