import { describe, expect, it } from 'vitest';
import { patienceOf } from '@/lib/sandbox/people.ts';
import { differences, faultsInLog, type ReportedSequence } from '@/scripts/demo/check-sequence.ts';
import type { Delivery, Reply } from '@/scripts/demo/deliveries.ts';
import { demoAccounts } from '@/scripts/demo/inputs/demo-accounts.ts';
import {
  answerShares,
  demoSequences,
  peopleSeed,
  sequenceAccounts,
} from '@/scripts/demo/inputs/demo-sequences.ts';
import { sequenceLine } from '@/scripts/demo/sequence-watch.ts';

const accounts = sequenceAccounts.map((account, index) => ({ ...account, id: `id-${index}` }));
const plan = (runId = 'r1') => demoSequences(accounts, runId);
const [linkedin, whatsapp] = plan() as [ReturnType<typeof plan>[0], ReturnType<typeof plan>[0]];

describe('the sequences of the demo', () => {
  it('are one of 3 messages to 12 people over LinkedIn, and one of 5 questions to 8 people over WhatsApp', () => {
    expect(
      plan().map(({ sequence, people }) => [sequence.channel, sequence.steps.length, people.length]),
    ).toEqual([
      ['linkedin', 3, 12],
      ['whatsapp', 5, 8],
    ]);
  });

  it('have people whom the sandbox lets answer at once, after a reminder, later, or never', () => {
    const patience = plan().map(({ sequence, people }) =>
      people.map(({ recipient }) => {
        const provider = sequence.channel === 'linkedin' ? 'unipile' : 'whatsapp-cloud';
        return patienceOf(peopleSeed, { provider, recipient }, answerShares);
      }),
    );
    expect(patience.map((all) => all.sort())).toEqual([
      [1, 1, 1, 2, 2, 2, 3, null, null, null, null, null],
      [1, 1, 1, 1, 2, 2, 3, null],
    ]);
  });

  it('use accounts of their own, two for LinkedIn and one for WhatsApp', () => {
    const others = new Set(demoAccounts.map(({ provider_account_id }) => provider_account_id));
    expect(sequenceAccounts.filter(({ provider_account_id }) => others.has(provider_account_id))).toEqual([]);
    const used = (one: typeof linkedin) => new Set(one.people.map(({ account_id }) => account_id));
    expect([used(linkedin).size, used(whatsapp).size]).toEqual([2, 1]);
  });

  it('repeat no person and no text, within a run or between runs', () => {
    const people = [...plan('r1'), ...plan('r2')].flatMap((one) => one.people);
    expect(new Set(people.map(({ recipient }) => recipient)).size).toBe(40);
    expect(new Set(people.map(({ variables }) => variables.ref)).size).toBe(40);
    const marks = JSON.stringify(plan()).match(/\{\{ref\}\}-\dr?/g) ?? [];
    // Three messages, and five questions with reminders, each as a text and as a template.
    expect([marks.length, new Set(marks).size]).toEqual([3 + 20, 10]);
  });
});

const startMs = Date.UTC(2030, 0, 15, 12);
const at = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString();

/** The deliveries to a sequence's first person: `1@0 1r@9`, each step at its second. */
const delivered = (one: typeof linkedin, steps: string): Delivery[] =>
  steps.split(' ').map((step) => {
    const [name, seconds] = step.split('@');
    const text = `day_1 (en): Ada | Well? (ref. ${one.people[0]?.variables.ref}-${name})`;
    return { account: 'a', recipient: one.people[0]?.recipient ?? '', text, at: at(Number(seconds)) };
  });
const wrote = (one: typeof linkedin, seconds: number, reportedAfter = 1, text = 'Yes'): Reply => ({
  account: 'a',
  recipient: one.people[0]?.recipient ?? '',
  text,
  at: at(seconds),
  reported_at: at(seconds + reportedAfter),
});

describe('faultsInLog', () => {
  it('finds no fault if the steps come in order and end with the answer', () => {
    const log = delivered(linkedin, '1@0 2@12');
    expect(faultsInLog(linkedin, log, [wrote(linkedin, 14)])).toEqual([]);
    const days = delivered(whatsapp, '1@0 1r@9 2@20 3@30 3r@39');
    expect(faultsInLog(whatsapp, days, [wrote(whatsapp, 11), wrote(whatsapp, 22)])).toEqual([]);
  });

  it.each<[fault: string, one: typeof linkedin, steps: string, answers: number[], message: string]>([
    ['a repeated step', linkedin, '1@0 1@5', [], 'step 1 after 1'],
    ['a skipped step', linkedin, '1@0 3@5', [], 'step 3 after 1'],
    ['a log that starts with step 2', linkedin, '2@0', [], 'step 2 after nothing'],
    ['a reminder of another question', whatsapp, '1@0 2r@5', [], 'step 2r after 1'],
    ['two reminders', whatsapp, '1@0 1r@5 1r@9', [], 'step 1r after 1r'],
    ['a message after the answer', linkedin, '1@0 2@12', [3], 'step 2 after the reply'],
    ['a reminder after the answer', whatsapp, '1@0 1r@9', [3], 'step 1r after the reply'],
  ])('finds %s', (_fault, one, steps, answers, message) => {
    const replies = answers.map((seconds) => wrote(one, seconds));
    const faults = faultsInLog(one, delivered(one, steps), replies);
    expect(faults).toEqual([expect.stringMatching(new RegExp(`got ${message}$`))]);
  });

  it('accepts a message that was under way when the answer came, or whose answer was never reported', () => {
    const log = delivered(linkedin, '1@0 2@12');
    expect(faultsInLog(linkedin, log, [wrote(linkedin, 10)])).toEqual([]);
    expect(faultsInLog(linkedin, log, [{ ...wrote(linkedin, 3), reported_at: null }])).toEqual([]);
  });

  it('accepts a reminder after the answer to the question before', () => {
    const log = delivered(whatsapp, '1@0 2@12 2r@20');
    expect(faultsInLog(whatsapp, log, [wrote(whatsapp, 3)])).toEqual([]);
  });
});

describe('differences', () => {
  const one = { ...linkedin, people: linkedin.people.slice(0, 1) };
  const log = delivered(one, '1@0 2@12');
  const person = one.people[0]?.recipient ?? '';
  const reported = (changes: { timeline?: string[]; lastReply?: string | null } = {}): ReportedSequence => ({
    steps: [1, 1, 0].map((sent) => ({ sent, reminded: 0 })),
    people: new Map([[person, { timeline: ['1', '2'], lastReply: 'Yes', ...changes }]]),
  });

  it('is empty if the app’s report agrees with the sandbox’s log', () => {
    expect(differences(one, reported(), log, [wrote(one, 14)])).toEqual([]);
    // Replies after the end do not count.
    expect(differences(one, reported(), log, [wrote(one, 14), wrote(one, 20, 1, 'Bye')])).toEqual([]);
  });

  it('names each difference between the app’s report and the log', () => {
    const reply = wrote(one, 14);
    expect(differences(one, reported(), log.slice(1), [reply])).toEqual([
      'step 1 went to: the app says 1, the sandbox 0',
      expect.stringMatching(/ got: the app says 1 2, the sandbox 2$/),
    ]);
    expect(differences(one, reported({ timeline: ['1'] }), log, [reply])).toHaveLength(1);
    expect(differences(one, reported({ lastReply: null }), log, [reply])).toHaveLength(1);
    expect(differences(one, reported(), log, [])).toHaveLength(1);
    expect(differences(one, { ...reported(), people: new Map() }, log, [reply])).toHaveLength(2);
  });
});

it('the sequences’ line counts steps and phases in 80 columns', () => {
  const steps = [
    { sent: 20, reminded: 4 },
    { sent: 12, reminded: 3 },
  ];
  const line = sequenceLine(20, steps, { replied: 5, completed: 3, in_progress: 8, waiting_reply: 4 });
  expect(line).toBe('20 enrolled: 32 steps, 7 reminders · 5 replied, 3 completed, 12 active');
  expect(`       ${line}`.length).toBeLessThan(80);
  expect(sequenceLine(20, steps, { replied: 19, failed: 1 })).toMatch(/ · 1 stopped or failed$/);
});
