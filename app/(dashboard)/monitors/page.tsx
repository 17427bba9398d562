import { readMonitors } from '../dal/figures.ts';
import { readAddress } from '../dal/visitor.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { Monitors } from './monitors.tsx';

export const metadata = { title: 'Monitors' };

/** Answers: what is down, since when, and seen from where? */
export default async function MonitorsPage() {
  const address = await readAddress();
  return (
    <>
      <PageHeader title="Monitors" above={[]} />
      <Part read={readMonitors} height="h-screen">
        {(monitoring) => <Monitors data={monitoring} address={address} />}
      </Part>
    </>
  );
}
