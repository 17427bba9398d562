import { describe, expect, it } from 'vitest';
import { rowSummary } from '../../../../app/(dashboard)/queue/needs-you/row-summary.ts';
import type { ListedRow } from '../../../../lib/store/listed-row.ts';

function summaryOf(row: Record<string, unknown>, account: ListedRow['account'] = null) {
  const standard = { id: 7, status: 'unknown', priority: 1, attempts: 1, claim_id: null, created_at: 'now' };
  return rowSummary({
    id: '7',
    status: 'unknown',
    due_at: null,
    attempts: 1,
    last_error: null,
    finished_at: null,
    account,
    reconcile: null,
    row: { ...standard, ...row },
  });
}

const ann = { id: 'a', name: 'Ann' };

describe('rowSummary', () => {
  it('gives a message’s sender, addressee and text', () => {
    expect(summaryOf({ account_id: 'a', recipient: 'bob', chat_id: null, body: 'hello' }, ann)).toEqual({
      from: 'Ann',
      to: 'bob',
      text: 'hello',
    });
    expect(summaryOf({ account_id: 'a', recipient: null, chat_id: 'c1', body: 'hello' }, ann).to).toBe(
      'chat c1',
    );
    expect(summaryOf({ account_id: null, body: 'hello' })).toEqual({
      from: 'no account',
      to: null,
      text: 'hello',
    });
  });

  it('gives a job’s name, queue and payload', () => {
    expect(
      summaryOf({ name: 'nap', queue: 'default', payload: { seconds: 2 }, run_at: 'now', result: null }),
    ).toEqual({ from: null, to: 'nap', text: 'queue: default, payload: {"seconds":2}' });
  });

  it('gives the custom columns of a row in a table of your own', () => {
    expect(
      summaryOf({ email: 'bob@x.test', question: 4, next_question_scheduled_for: 'now', unique_key: 'k' }),
    ).toEqual({ from: null, to: null, text: 'email: bob@x.test, question: 4' });
    expect(summaryOf({})).toEqual({ from: null, to: null, text: null });
  });
});
