import { describe, expect, it } from 'vitest';
import { patienceOf } from '@/sandbox/people.ts';
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
  it('are one of three messages for 12 people over LinkedIn, and one of five questions for 8 over WhatsApp', () => {
    const shape = plan().map(({ sequence, people }) => [
      sequence.channel,
      sequence.steps.length,
      people.length,
    ]);
    expect(shape).toEqual([
      ['linkedin', 3, 12],
      ['whatsapp', 5, 8],
    ]);
  });

  it('have people who answer at once, after a reminder, later still, and not at all, as the sandbox draws them', () => {
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

  it('go out by accounts of their own, each person through one', () => {
    const others = new Set(demoAccounts.map(({ provider_account_id }) => provider_account_id));
    expect(sequenceAccounts.filter(({ provider_account_id }) => others.has(provider_account_id))).toEqual([]);
    const used = (one: typeof linkedin) => new Set(one.people.map(({ account_id }) => account_id));
    expect([used(linkedin).size, used(whatsapp).size]).toEqual([2, 1]);
  });

  it('have no person and no text twice, nor one of another run', () => {
    const people = [...plan('r1'), ...plan('r2')].flatMap((one) => one.people);
    expect(new Set(people.map(({ recipient }) => recipient)).size).toBe(40);
    expect(new Set(people.map(({ variables }) => variables.ref)).size).toBe(40);
    const marks = JSON.stringify(plan()).match(/\{\{ref\}\}-\dr?/g) ?? [];
    // Three messages; five questions and their reminders, each as a text and as a template.
    expect([marks.length, new Set(marks).size]).toEqual([3 + 20, 10]);
  });
});

const startMs = Date.UTC(2030, 0, 15, 12);
const at = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString();

/** What one person of a sequence got: `1`, `1r` …, each at its second. */
const delivered = (one: typeof linkedin, ...steps: [name: string, seconds: number][]): Delivery[] =>
  steps.map(([name, seconds]) => ({
    account: 'a',
    recipient: one.people[0]?.recipient ?? '',
    text: `day_1 (en): Ada | Well? (ref. ${one.people[0]?.variables.ref}-${name})`,
    at: at(seconds),
  }));
const wrote = (one: typeof linkedin, seconds: number, toldAfter = 1, text = 'Yes'): Reply => ({
  account: 'a',
  recipient: one.people[0]?.recipient ?? '',
  text,
  at: at(seconds),
  told_at: at(seconds + toldAfter),
});

describe('the sandbox’s log of a sequence', () => {
  it('has no fault where the steps come in order, and end with the answer', () => {
    const log = delivered(linkedin, ['1', 0], ['2', 12]);
    expect(faultsInLog(linkedin, log, [wrote(linkedin, 14)])).toEqual([]);
    const days = delivered(whatsapp, ['1', 0], ['1r', 9], ['2', 20], ['3', 30], ['3r', 39]);
    expect(faultsInLog(whatsapp, days, [wrote(whatsapp, 11), wrote(whatsapp, 22)])).toEqual([]);
  });

  it.each<[what: string, one: typeof linkedin, steps: [string, number][], answered: number[], fault: RegExp]>(
    [
      [
        'a step that came twice',
        linkedin,
        [
          ['1', 0],
          ['1', 5],
        ],
        [],
        /got step 1 after 1$/,
      ],
      [
        'a step that was left out',
        linkedin,
        [
          ['1', 0],
          ['3', 5],
        ],
        [],
        /got step 3 after 1$/,
      ],
      ['a first step that is none', linkedin, [['2', 0]], [], /got step 2 after nothing$/],
      [
        'a reminder of another question',
        whatsapp,
        [
          ['1', 0],
          ['2r', 5],
        ],
        [],
        /got step 2r after 1$/,
      ],
      [
        'two reminders',
        whatsapp,
        [
          ['1', 0],
          ['1r', 5],
          ['1r', 9],
        ],
        [],
        /got step 1r after 1r$/,
      ],
      [
        'a message after the answer',
        linkedin,
        [
          ['1', 0],
          ['2', 12],
        ],
        [3],
        /got step 2 after the reply$/,
      ],
      [
        'a reminder after the answer',
        whatsapp,
        [
          ['1', 0],
          ['1r', 9],
        ],
        [3],
        /got step 1r after the reply$/,
      ],
    ],
  )('has a fault in %s', (_what, one, steps, answered, fault) => {
    const replies = answered.map((seconds) => wrote(one, seconds));
    expect(faultsInLog(one, delivered(one, ...steps), replies)).toEqual([expect.stringMatching(fault)]);
  });

  it('has none in a message that was under way, nor after an answer of which nobody knew', () => {
    const log = delivered(linkedin, ['1', 0], ['2', 12]);
    expect(faultsInLog(linkedin, log, [wrote(linkedin, 10)])).toEqual([]);
    expect(faultsInLog(linkedin, log, [{ ...wrote(linkedin, 3), told_at: null }])).toEqual([]);
  });

  it('has none in a reminder that follows the answer to the question before', () => {
    const log = delivered(whatsapp, ['1', 0], ['2', 12], ['2r', 20]);
    expect(faultsInLog(whatsapp, log, [wrote(whatsapp, 3)])).toEqual([]);
  });
});

describe('what the app tells of a sequence', () => {
  const one = { ...linkedin, people: linkedin.people.slice(0, 1) };
  const log = delivered(one, ['1', 0], ['2', 12]);
  const told = (
    changes: Partial<{ timeline: string[]; lastReply: string | null }> = {},
  ): ReportedSequence => ({
    steps: [
      { sent: 1, reminded: 0 },
      { sent: 1, reminded: 0 },
      { sent: 0, reminded: 0 },
    ],
    people: new Map([
      [one.people[0]?.recipient ?? '', { timeline: ['1', '2'], lastReply: 'Yes', ...changes }],
    ]),
  });

  it('agrees with the log', () => {
    expect(differences(one, told(), log, [wrote(one, 14)])).toEqual([]);
    // What is said after the end is no part of it.
    expect(differences(one, told(), log, [wrote(one, 14), wrote(one, 20, 1, 'Bye')])).toEqual([]);
  });

  it('does not, and where', () => {
    const reply = wrote(one, 14);
    expect(differences(one, told(), log.slice(1), [reply])).toEqual([
      'step 1 went to: the app says 1, the sandbox 0',
      expect.stringMatching(/ got: the app says 1 2, the sandbox 2$/),
    ]);
    expect(differences(one, told({ timeline: ['1'] }), log, [reply])).toHaveLength(1);
    expect(differences(one, told({ lastReply: null }), log, [reply])).toHaveLength(1);
    expect(differences(one, told(), log, [])).toHaveLength(1);
    expect(differences(one, { ...told(), people: new Map() }, log, [reply])).toHaveLength(2);
  });
});

it('the demo’s line on sequences tells how people fare, in 80 columns', () => {
  const steps = [
    { sent: 20, reminded: 4 },
    { sent: 12, reminded: 3 },
  ];
  const line = sequenceLine(20, steps, { replied: 5, completed: 3, in_progress: 8, waiting_reply: 4 });
  expect(line).toBe('20 enrolled: 32 steps, 7 reminders · 5 replied, 3 completed, 12 active');
  expect(`       ${line}`.length).toBeLessThan(80);
  expect(sequenceLine(20, steps, { replied: 19, failed: 1 })).toMatch(/ · 1 stopped or failed$/);
});
