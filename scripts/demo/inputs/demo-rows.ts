import { chatId } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { type DemoAccount, helpAccountId } from './demo-accounts.ts';
import { firstNameOf, messageTemplate, messageText, personName } from './demo-texts.ts';

/** An entry of `POST /api/dms`. */
export interface DemoRow {
  account_id: string;
  channel: 'linkedin' | 'whatsapp';
  recipient?: string;
  chat_id?: string;
  body: string;
  template?: ReturnType<typeof messageTemplate>;
  send_at: string;
  idempotency_key: string;
}

type SavedAccount = DemoAccount & { id: string };

/** Accounts with a lower daily limit get few rows, because most would wait for tomorrow. */
const smallLimit = 100;
/** Between two rows that are due already. */
const overdueStepMs = 1_500;

/**
 * Returns `count` messages at `nowMs`. Most are due already, 6 % fall due within a minute, and 4 % later. A few are for recipients that the sandbox
 * refuses, and a few from the account with the low limit.
 *
 * Of 200 rows, at most 10 wait for a limit, 4 are refused, and 8 fall due after a minute. So 178 can go out in 90 s.
 */
export function demoRows(count: number, accounts: SavedAccount[], runId: string, nowMs: number): DemoRow[] {
  const small = accounts.filter((account) => account.daily_limit < smallLimit);
  const large = accounts.filter((account) => account.daily_limit >= smallLimit);
  const [smallRows, badRows] = [Math.min(10, Math.floor(count * 0.05)), Math.ceil(count * 0.02)];
  const [soonRows, laterRows] = [Math.floor(count * 0.06), Math.floor(count * 0.04)];
  const overdueRows = count - soonRows - laterRows;

  return Array.from({ length: count }, (_, index) => {
    // Spread over the rows that are due already, so that the demo shows them early.
    const isSmall = isChosen(index, overdueRows, smallRows);
    const isBad = !isSmall && isChosen(index + 1, overdueRows, badRows);
    const group = isSmall && small.length > 0 ? small : large;
    const account = group[index % group.length] as SavedAccount;
    const reference = `${runId}-${index + 1}`;
    // Recipients of the help account have written first. WhatsApp allows only templates to the others.
    const hasWritten = account.provider_account_id === helpAccountId;
    return {
      account_id: account.id,
      ...addressee(account, index, runId, isBad),
      body: messageText(index, firstNameOf(account.name), reference),
      ...(account.provider === 'whatsapp_cloud' &&
        !hasWritten && { template: messageTemplate(index, reference) }),
      send_at: new Date(nowMs + dueInMs(index)).toISOString(),
      idempotency_key: `demo-${reference}`,
    };
  });

  function dueInMs(index: number): number {
    if (index < overdueRows) return -(overdueRows - index) * overdueStepMs;
    const soon = index - overdueRows;
    if (soon < soonRows) return spread(soon, soonRows, 5_000, 60_000);
    return spread(soon - soonRows, laterRows, 65_000, 240_000);
  }
}

/** Whether an index is one of `count` that are spread evenly over the first `among`. */
function isChosen(index: number, among: number, count: number): boolean {
  return index < among && Math.floor(((index + 1) * count) / among) > Math.floor((index * count) / among);
}

function spread(index: number, count: number, fromMs: number, toMs: number): number {
  return Math.round(fromMs + ((toMs - fromMs) * (index + 1)) / count);
}

function addressee(
  account: DemoAccount,
  index: number,
  runId: string,
  isBad: boolean,
): Pick<DemoRow, 'channel' | 'recipient' | 'chat_id'> {
  if (account.provider === 'whatsapp_cloud') {
    const number = String(index).padStart(7, '0');
    return { channel: 'whatsapp', recipient: isBad ? `+000${number}` : `+35191${number}` };
  }
  const person = `${personName(index).toLowerCase().replaceAll(' ', '-')}-${runId}-${index + 1}`;
  const recipient = isBad ? `gone-${person}` : person;
  // Every third message continues an existing chat.
  if (index % 3 > 0) return { channel: 'linkedin', recipient };
  return { channel: 'linkedin', chat_id: chatId({ account: account.provider_account_id, recipient }) };
}
