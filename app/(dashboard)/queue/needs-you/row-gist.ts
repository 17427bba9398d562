import type { ListedRow } from '@/lib/store/listed-row';

/** What every queue's table has, and what is shown elsewhere. */
const STANDARD =
  /^(id|status|priority|attempts|max_attempts|\w+_at|\w+_for|claim_id|timeout_seconds|last_error|idempotency_key|reconcile|account_id|unique_\w+)$/;

export interface RowGist {
  /** Who it is done as; null in a queue without accounts. */
  from: string | null;
  /** Whom it is for, or what is to be done. */
  to: string | null;
  text: string | null;
}

/** What a row of any queue is about: the columns that say it in the built-in queues, else those that its table has of its own. */
export function rowGist({ account, row }: ListedRow): RowGist {
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
