import { readActs } from './dal/activity.ts';
import { readNextHours } from './dal/figures.ts';
import { readNeeds } from './dal/needs.ts';
import { readStart } from './dal/queues.ts';
import { readAddress, readVisitor } from './dal/visitor.ts';
import { NeedsList } from './needs/needs-list.tsx';
import { PageHeader } from './shell/page-header.tsx';
import { Part } from './shell/part.tsx';
import { Activity } from './today/activity.tsx';
import { FirstSteps } from './today/first-steps.tsx';
import { NextHours } from './today/next-hours.tsx';
import { QueueTable } from './today/queue-table.tsx';

export const metadata = { title: 'Today' };

/** Answers: is anything wrong, and what waits for me? */
export default async function TodayPage() {
  const [address, { mayAct }] = await Promise.all([readAddress(), readVisitor()]);
  return (
    <>
      <PageHeader title="Today" />
      <Part read={readNeeds} height="h-64">
        {(needs) => <NeedsList needs={needs} mayAct={mayAct} />}
      </Part>
      <Part read={readStart} height="h-96">
        {({ queues, now, isNew, tests }) => (
          <>
            {isNew && <FirstSteps queues={queues} tests={tests} address={address} mayAct={mayAct} />}
            <QueueTable queues={queues} now={now} />
          </>
        )}
      </Part>
      <Part read={readNextHours} height="h-40">
        {(forecast) => <NextHours forecast={forecast} />}
      </Part>
      <Part read={() => readActs({ limit: 10 })} height="h-64">
        {({ items, names }) => <Activity acts={items} names={names} />}
      </Part>
    </>
  );
}
