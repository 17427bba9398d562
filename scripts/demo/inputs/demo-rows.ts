import { chatId } from '../../../sandbox/shapes/unipile-shape';
import { type DemoAccount, helpAccountId } from './demo-accounts';
import { firstNameOf, messageTemplate, messageText, personName } from './demo-texts';

/** A message as `POST /api/dms` takes it. */
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

/** An account whose cap is lower than this gets few rows: most of them would wait for tomorrow. */
const smallCap = 100;
/** Between two rows that fell due already. */
const overdueStepMs = 1_500;

/**
 * What the demo loads: `count` messages, of which a few are for recipients that the sandbox refuses, a few for the account with the
 * small cap, some fall due within the next minute and a few later, and the rest were due already. At `nowMs`.
 *
 * With 200 rows at most 10 wait for a cap, 4 are refused and 8 are due after a minute: 178 can go out in 90 s.
 */
export function demoRows(count: number, accounts: SavedAccount[], runId: string, nowMs: number): DemoRow[] {
  const small = accounts.filter((account) => account.daily_limit < smallCap);
  const large = accounts.filter((account) => account.daily_limit >= smallCap);
  const [smallRows, badRows] = [Math.min(10, Math.floor(count * 0.05)), Math.ceil(count * 0.02)];
  const [soonRows, laterRows] = [Math.floor(count * 0.06), Math.floor(count * 0.04)];
  const overdueRows = count - soonRows - laterRows;

  return Array.from({ length: count }, (_, index) => {
    // Spread over the rows that are due already, so that these are seen early.
    const isSmall = isChosen(index, overdueRows, smallRows);
    const isBad = !isSmall && isChosen(index + 1, overdueRows, badRows);
    const group = isSmall && small.length > 0 ? small : large;
    const account = group[index % group.length] as SavedAccount;
    const reference = `${runId}-${index + 1}`;
    // Whoever is helped has asked for it. To the others WhatsApp lets nothing but templates through.
    const asked = account.provider_account_id === helpAccountId;
    return {
      account_id: account.id,
      ...addressee(account, index, runId, isBad),
      body: messageText(index, firstNameOf(account.name), reference),
      ...(account.provider === 'whatsapp_cloud' && !asked && { template: messageTemplate(index, reference) }),
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

/** Chooses `chosen` of the first `among` indexes, evenly spread. */
function isChosen(index: number, among: number, chosen: number): boolean {
  return index < among && Math.floor(((index + 1) * chosen) / among) > Math.floor((index * chosen) / among);
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
  // Every third goes on with a chat that exists.
  if (index % 3 > 0) return { channel: 'linkedin', recipient };
  return { channel: 'linkedin', chat_id: chatId({ account: account.provider_account_id, recipient }) };
}
