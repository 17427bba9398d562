import { readDays } from '../dal/figures.ts';
import { readAddress } from '../dal/visitor.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { Days } from './days.tsx';

export const metadata = { title: 'Reports' };

/** Answers: how were the last 14 days? */
export default async function ReportsPage({ searchParams }: PageProps<'/reports'>) {
  const [address, { uptime }] = [await readAddress(), oneOf(await searchParams)];
  return (
    <>
      <PageHeader title="Reports" above={[]} />
      <Part read={readDays} height="h-screen">
        {(analytics) => <Days data={analytics} address={address} hasAllMonitors={uptime === 'all'} />}
      </Part>
    </>
  );
}
