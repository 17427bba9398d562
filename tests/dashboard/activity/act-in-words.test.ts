import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { actInWords, changesInWords } from '../../../app/(dashboard)/activity/act-in-words.ts';
import type { Act } from '../../../lib/operate/audit.ts';
import { now, queueStats } from '../queue-stats.ts';

const names = {
  words: new Map([['dm_queue', queueStats().words]]),
  accounts: new Map([['a', 'Ada']]),
};
const act = (changes: Partial<Act>): Act => ({
  ...{ id: '1', at: now, by: 'Mira', act: 'run_queue', queue: null, target: null, details: null, note: null },
  ...changes,
});
function said(changes: Partial<Act>): string {
  const { before, target, href, after } = actInWords(act(changes), names);
  return `${[before, target, after].filter(Boolean).join(' ')}${href ? ` → ${href}` : ''}`;
}

const inQueue = { queue: 'dm_queue' };
const row = { act: 'resolve_row', ...inQueue, target: '97' };

it.each<[says: string, changes: Partial<Act>]>([
  ['marked row 97 of dm_queue sent → /queues/dm_queue/rows/97', { ...row, details: { decision: 'done' } }],
  [
    'sent row 97 of dm_queue back to be tried again → /queues/dm_queue/rows/97',
    { ...row, details: { decision: 'pending' } },
  ],
  ['cancelled row 97 of dm_queue → /queues/dm_queue/rows/97', { ...row, details: { decision: 'cancelled' } }],
  ['changed post 7 → /queues/posts/rows/7', { act: 'change_post', queue: 'posts', target: '7' }],
  [
    'paused dm_queue until 2026-03-02 13:00 UTC → /queues/dm_queue/settings',
    { act: 'pause_queue', ...inQueue, details: { paused_until: '2026-03-02T13:00:00+00:00' } },
  ],
  [
    'paused partition mail of jobs until somebody resumes → /queues/jobs/settings',
    { act: 'pause_queue', queue: 'jobs', target: 'mail' },
  ],
  ['resumed dm_queue → /queues/dm_queue/settings', { act: 'resume_queue', ...inQueue }],
  ['changed the settings of dm_queue → /queues/dm_queue/settings', { act: 'change_settings', ...inQueue }],
  ['sent test row 7 of jobs → /queues/jobs/rows/7', { act: 'send_test_row', queue: 'jobs', target: '7' }],
  [
    'snoozed a line of dm_queue (error) until 2026-03-02 13:00 UTC → /',
    {
      ...inQueue,
      act: 'snooze_need',
      target: 'dm_queue.error.6fa1c0de',
      details: { until: '2026-03-02T13:00:00+00:00' },
    },
  ],
  ['woke a line of Today (incidents) → /', { act: 'wake_need', target: 'incidents' }],
  ['ran a tick of dm_queue → /queues/dm_queue/ticks', { act: 'run_queue', ...inQueue }],
  [
    'added account Ada → /accounts/a',
    { act: 'save_account', target: 'a', details: { before: null, after: { name: 'Ada' } } },
  ],
  [
    'changed account Ada → /accounts/a',
    { act: 'save_account', target: 'a', details: { before: { daily_limit: 3 }, after: {} } },
  ],
  ['paused account Ada until somebody resumes → /accounts/a', { act: 'pause_account', target: 'a' }],
  ['resumed account Ada → /accounts/a', { act: 'resume_account', target: 'a' }],
  ['had unipile tried again', { act: 'end_refusal', details: { provider: 'unipile' } }],
  [
    'stopped enrolment 5 → /queues/enrolments/rows/5',
    { act: 'stop_enrolment', queue: 'enrolments', target: '5' },
  ],
  [
    'created sequence Hello → /sequences/3',
    { act: 'create_sequence', target: '3', details: { name: 'Hello' } },
  ],
  ['added 2 monitors → /monitors', { act: 'create_monitors', details: { ids: ['1', '2'] } }],
  [
    'retried 502 rows of dm_queue → /actions/31',
    { act: 'retry', ...inQueue, target: 'action 31', details: { rows: 502 } },
  ],
  ['stopped action 31 → /actions/31', { act: 'stop', ...inQueue, target: 'action 31' }],
  [
    'marked an error of dm_queue as known → /queues/dm_queue/errors/6fa1',
    { act: 'mark_error', ...inQueue, target: '6fa1', details: { known: true } },
  ],
  ['deleted a person’s data', { act: 'forget_person' }],
])('an act is said as “Mira %s”', (says, changes) => {
  expect(said(changes)).toBe(says);
});

it('every act that the API’s docs list has words of its own', () => {
  const audit = readFileSync('docs/api.md', 'utf8').split('| `act` |')[1]?.split('\n## ')[0] ?? '';
  const rows = audit.split('\n').filter((line) => line.startsWith('| `') && !line.startsWith('| `act`'));
  const listed = rows.flatMap((line) =>
    [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
  const actions = ['retry_now', 'reschedule', 'prioritise', 'delete'];
  expect(listed.length).toBeGreaterThan(20);
  for (const name of [...listed, ...actions])
    expect(actInWords(act({ act: name }), names).before, name).not.toBe(name.replaceAll('_', ' '));
});

it('a change lists its fields with before and after, and a new object lists none', () => {
  const details = {
    before: { concurrency: 5, batch_limit: null },
    after: { concurrency: 8, batch_limit: 50 },
  };
  expect(changesInWords(act({ details }))).toEqual(['concurrency 5 → 8', 'batch limit none → 50']);
  expect(changesInWords(act({ details: { before: null, after: { name: 'Ada' } } }))).toEqual([]);
  expect(changesInWords(act({}))).toEqual([]);
});
