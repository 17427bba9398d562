import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { CenteredCard } from '@/components/centered-card';
import { readCoverage } from '@/lib/cron/slots/schedule-coverage';
import { dashboardDoor } from '@/lib/http/auth/access';
import { readSessionCookie } from '@/lib/http/auth/session';
import { errorMessage } from '@/lib/http/error-response';
import { listSequences } from '@/lib/queues/sequences/sequences';
import { accessEnv } from '@/lib/services/env';
import { getServices } from '@/lib/services/services';
import { readAnalytics, readMonitoring, readStats } from '@/lib/stats/stats';
import { Dashboard, type FirstReading } from './dashboard';
import { SEQUENCES_SHOWN } from './sequences/page-sizes';

export default async function DashboardPage() {
  const cookie = readSessionCookie({ headers: await headers() });
  const door = dashboardDoor(accessEnv(), cookie, Date.now());
  if (door === 'sign in') redirect('/login');
  if (door === 'not configured') return <NotConfigured />;
  return (
    <Dashboard first={await firstReading()} address={await ownAddress()} signedIn={door === 'session'} />
  );
}

function NotConfigured() {
  return (
    <CenteredCard heading="The dashboard is closed">
      <p className="text-muted">
        No password is set on this server, so nobody can sign in. Set the environment variable{' '}
        <code className="font-mono text-ink">DASHBOARD_PASSWORD</code> and start it again.
      </p>
    </CenteredCard>
  );
}

/** The page comes with its figures; the browser then keeps them fresh. */
async function firstReading(): Promise<FirstReading> {
  try {
    const { rpc } = await getServices();
    // These sections say themselves, as soon as they ask again, why there is nothing to read.
    const none = () => undefined;
    const [stats, monitoring, analytics, schedulers, sequences] = await Promise.all([
      readStats(),
      readMonitoring(rpc).catch(none),
      readAnalytics().catch(none),
      readCoverage(rpc, 24).catch(none),
      listSequences(rpc, { limit: SEQUENCES_SHOWN })
        .then(({ items, next }) => ({ sequences: items, next }))
        .catch(none),
    ]);
    return { stats, monitoring, analytics, schedulers, sequences };
  } catch (error) {
    return { failure: await errorMessage(error) };
  }
}

/** As the visitor's browser knows it, for the commands to copy. */
async function ownAddress(): Promise<string> {
  const asked = await headers();
  const host = asked.get('x-forwarded-host') ?? asked.get('host') ?? 'localhost:3000';
  const scheme = asked.get('x-forwarded-proto')?.split(',')[0]?.trim() ?? 'http';
  return `${scheme}://${host}`;
}
