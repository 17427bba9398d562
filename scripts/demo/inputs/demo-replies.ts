import type { DemoAccount } from './demo-accounts.ts';
import type { DemoRow } from './demo-rows.ts';

/** An entry of the sandbox's `POST /replies`. */
export interface DemoReply {
  provider: 'whatsapp-cloud';
  account: string;
  recipient: string;
  text: string;
}

const texts = [
  'Hello, is anybody there?',
  'I have a question about my order.',
  'Could somebody call me back?',
];

/** Returns a message from each recipient of a WhatsApp text without a template. WhatsApp allows such a text only to people who wrote first. */
export function demoReplies(rows: DemoRow[], accounts: (DemoAccount & { id: string })[]): DemoReply[] {
  const numbers = new Map(accounts.map((account) => [account.id, account.provider_account_id]));
  return rows
    .filter(({ channel, template }) => channel === 'whatsapp' && template === undefined)
    .map(({ account_id, recipient = '' }, index) => ({
      provider: 'whatsapp-cloud',
      account: numbers.get(account_id) ?? '',
      recipient,
      text: texts[index % texts.length] ?? '',
    }));
}
