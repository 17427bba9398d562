import type { DemoAccount } from './demo-accounts';
import type { DemoRow } from './demo-rows';

/** What the sandbox's `POST /replies` takes. */
export interface DemoWriting {
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

/** Of `rows`, whoever is to get a WhatsApp text without a template has written first: nobody else may be sent one. */
export function demoWritings(rows: DemoRow[], accounts: (DemoAccount & { id: string })[]): DemoWriting[] {
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
