import { readSchedules } from '../dal/figures.ts';
import { readAddress } from '../dal/visitor.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { Schedules } from './schedules.tsx';

export const metadata = { title: 'Schedules' };

/** Answers: did every slot run? */
export default async function SchedulesPage() {
  const address = await readAddress();
  return (
    <>
      <PageHeader title="Schedules" above={[]} />
      <Part read={readSchedules} height="h-96">
        {({ schedulers }) => <Schedules schedulers={schedulers} address={address} />}
      </Part>
    </>
  );
}
