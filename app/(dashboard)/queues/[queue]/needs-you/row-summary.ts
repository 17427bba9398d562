import type { ListedRow } from '@/lib/store/listed-row.ts';

/** Columns that every queue's table has, and columns that are shown elsewhere. */
const STANDARD =
  /^(id|status|priority|attempts|max_attempts|\w+_at|\w+_for|claim_id|timeout_seconds|last_error|idempotency_key|reconcile|account_id|unique_\w+)$/;

export interface RowSummary {
  /** The account; null in a queue without accounts. */
  from: string | null;
  /** The recipient, or the job's name. */
  to: string | null;
  text: string | null;
}

/** Summarizes a row of any queue: from known columns of the built-in queues, or from the columns of its own that a table has. */
export function rowSummary({ account, row }: Pick<ListedRow, 'account' | 'row'>): RowSummary {
  const from = account?.name ?? ('account_id' in row ? 'no account' : null);
  const to = text(row.recipient) ?? (text(row.chat_id) && `chat ${row.chat_id}`) ?? text(row.name);
  return { from, to, text: text(row.body) ?? ownColumns(row) };
}

function ownColumns(row: ListedRow['row']): string | null {
  const own = Object.entries(row).filter(
    ([column, value]) => !STANDARD.test(column) && column !== 'name' && value !== null,
  );
  return text(own.map(([column, value]) => `${column}: ${inWords(value)}`).join(', '));
}

function inWords(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
