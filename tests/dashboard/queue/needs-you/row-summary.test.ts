import { describe, expect, it } from 'vitest';
import { rowSummary } from '../../../../app/(dashboard)/queue/needs-you/row-summary.ts';
import type { ListedRow } from '../../../../lib/store/listed-row.ts';

function gist(row: Record<string, unknown>, account: ListedRow['account'] = null) {
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
  it('tells of a message who sends what to whom', () => {
    expect(gist({ account_id: 'a', recipient: 'bob', chat_id: null, body: 'hello' }, ann)).toEqual({
      from: 'Ann',
      to: 'bob',
      text: 'hello',
    });
    expect(gist({ account_id: 'a', recipient: null, chat_id: 'c1', body: 'hello' }, ann).to).toBe('chat c1');
    expect(gist({ account_id: null, body: 'hello' })).toEqual({
      from: 'no account',
      to: null,
      text: 'hello',
    });
  });

  it('tells of a job what is to be done, with what', () => {
    expect(
      gist({ name: 'nap', queue: 'default', payload: { seconds: 2 }, run_at: 'now', result: null }),
    ).toEqual({ from: null, to: 'nap', text: 'queue: default, payload: {"seconds":2}' });
  });

  it('tells of a row of a person’s own table what it has of its own', () => {
    expect(
      gist({ email: 'bob@x.test', question: 4, next_question_scheduled_for: 'now', unique_key: 'k' }),
    ).toEqual({ from: null, to: null, text: 'email: bob@x.test, question: 4' });
    expect(gist({})).toEqual({ from: null, to: null, text: null });
  });
});
