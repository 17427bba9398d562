import { PageLinks } from '@/components/lists/page-links.tsx';
import { Section } from '@/components/section.tsx';
import { readAccounts } from '../dal/accounts.ts';
import { readQueues } from '../dal/queues.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { AccountTable } from './account-table.tsx';

export const metadata = { title: 'Accounts' };

/** Answers: who may send now, how much is left today, and who is paused and why? */
export default async function AccountsPage({ searchParams }: PageProps<'/accounts'>) {
  const { cursor } = oneOf(await searchParams);
  const read = async () => {
    const [accounts, { queues }] = await Promise.all([readAccounts(cursor), readQueues()]);
    return { ...accounts, pending: new Map(queues.map(({ name, words }) => [name, words.pending])) };
  };
  return (
    <>
      <PageHeader title="Accounts" above={[]} />
      <Section id="accounts" heading="Who may send now">
        <Part read={read} height="h-screen">
          {({ items, next, pending }) => (
            <div>
              {items.length === 0 ? (
                <p className="text-muted">
                  There is no account yet. Add one with <code className="font-mono">POST /api/accounts</code>.
                </p>
              ) : (
                <AccountTable accounts={items} pending={pending} />
              )}
              <PageLinks
                first={cursor ? '/accounts' : null}
                next={next && `/accounts?cursor=${next}`}
                labels={{ first: 'First', next: 'More' }}
              />
            </div>
          )}
        </Part>
      </Section>
    </>
  );
}
