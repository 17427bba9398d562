import { Section } from '@/components/section.tsx';
import { ActList } from '../../activity/act-list.tsx';
import { readOneAccount } from '../../dal/accounts.ts';
import { readActs } from '../../dal/activity.ts';
import { readQueues } from '../../dal/queues.ts';
import { readVisitor } from '../../dal/visitor.ts';
import { PageHeader } from '../../shell/page-header.tsx';
import { Part } from '../../shell/part.tsx';
import { AccountState } from '../account-state.tsx';
import { AccountButtons } from './account-buttons.tsx';
import { PaceTable } from './pace-table.tsx';
import { WeekHours } from './week-hours.tsx';

export const metadata = { title: 'Account' };

/** Answers: may this account send now, what is left today, and who changed it? */
export default async function AccountPage({ params }: PageProps<'/accounts/[id]'>) {
  const { id } = await params;
  const { mayAct } = await readVisitor();
  const read = async () => {
    const [account, { queues }] = await Promise.all([readOneAccount(id), readQueues()]);
    return { account, pending: new Map(queues.map(({ name, words }) => [name, words.pending])) };
  };
  return (
    <>
      <Part read={read} height="h-96">
        {({ account, pending }) => (
          <>
            <PageHeader
              title={account.name}
              above={[{ title: 'Accounts', href: '/accounts' }]}
              aside={<span className="text-muted">{account.provider}</span>}
            />
            <Section id="pace" heading={<AccountState account={account} />}>
              <PaceTable account={account} pending={pending} />
              <WeekHours account={account} />
              {mayAct && <AccountButtons account={account} />}
            </Section>
          </>
        )}
      </Part>
      <Section id="changes" heading="Who changed it">
        <Part read={() => readActs({ target: id, limit: 20 })} height="h-40">
          {({ items, names }) => <ActList acts={items} names={names} />}
        </Part>
      </Section>
    </>
  );
}
