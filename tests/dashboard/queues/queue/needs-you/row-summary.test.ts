import { expect, it } from 'vitest';
import { rowSummary } from '../../../../../app/(dashboard)/queues/[queue]/needs-you/row-summary.ts';

const standard = { id: 7, status: 'unknown', priority: 1, attempts: 1, claim_id: null, created_at: 'now' };
const ann = { id: 'a', name: 'Ann' };
const message = { account_id: 'a', recipient: 'bob', chat_id: null, body: 'hello' };
const job = { name: 'nap', queue: 'default', payload: { seconds: 2 }, run_at: 'now', result: null };
const own = { email: 'bob@x.test', question: 4, next_question_scheduled_for: 'now', unique_key: 'k' };

it.each([
  ['a message', ann, message, 'Ann', 'bob', 'hello'],
  ['a message in a chat', ann, { ...message, recipient: null, chat_id: 'c1' }, 'Ann', 'chat c1', 'hello'],
  ['a message without an account', null, { account_id: null, body: 'hello' }, 'no account', null, 'hello'],
  ['a job', null, job, null, 'nap', 'queue: default, payload: {"seconds":2}'],
  ['a row in a table of your own', null, own, null, null, 'email: bob@x.test, question: 4'],
  ['a row with standard columns only', null, {}, null, null, null],
])(
  'rowSummary gives the sender, the addressee and the text of %s',
  (_label, account, row, from, to, text) => {
    const times = { due_at: null, finished_at: null };
    const listed = { id: '7', status: 'unknown', attempts: 1, last_error: null, reconcile: null, ...times };
    expect(rowSummary({ ...listed, account, row: { ...standard, ...row } })).toEqual({ from, to, text });
  },
);
