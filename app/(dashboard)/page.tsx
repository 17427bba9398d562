import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { CenteredCard } from '@/components/centered-card.tsx';
import { readCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { dashboardAccess } from '@/lib/http/auth/access.ts';
import { readSessionCookie } from '@/lib/http/auth/session.ts';
import { errorMessage } from '@/lib/http/error-response.ts';
import { listSequences } from '@/lib/queues/sequences/sequences.ts';
import { accessEnv } from '@/lib/services/env.ts';
import { getServices } from '@/lib/services/services.ts';
import { readAnalytics, readMonitoring, readStats } from '@/lib/stats/stats.ts';
import { Dashboard, type InitialData } from './dashboard.tsx';
import { SEQUENCES_SHOWN } from './sequences/page-sizes.ts';

export default async function DashboardPage() {
  const cookie = readSessionCookie({ headers: await headers() });
  const access = dashboardAccess(accessEnv(), cookie, Date.now());
  if (access === 'sign in') redirect('/login');
  if (access === 'not configured') return <NotConfigured />;
  return (
    <Dashboard
      initial={await readInitialData()}
      address={await appAddress()}
      signedIn={access === 'session'}
    />
  );
}

function NotConfigured() {
  return (
    <CenteredCard heading="The dashboard is closed">
      <p className="text-muted">
        Nobody can sign in, because this server has no password. Set the environment variable{' '}
        <code className="font-mono text-ink">DASHBOARD_PASSWORD</code> and restart the server.
      </p>
    </CenteredCard>
  );
}

/** Reads the figures that the page is rendered with. The browser then keeps them fresh. */
async function readInitialData(): Promise<InitialData> {
  try {
    const { rpc } = await getServices();
    // The browser polls these sections, and shows why one cannot be read.
    const noData = () => undefined;
    const [stats, monitoring, analytics, schedulers, sequences] = await Promise.all([
      readStats(),
      readMonitoring(rpc).catch(noData),
      readAnalytics().catch(noData),
      readCoverage(rpc, 24).catch(noData),
      listSequences(rpc, { limit: SEQUENCES_SHOWN })
        .then(({ items, next }) => ({ sequences: items, next }))
        .catch(noData),
    ]);
    return { stats, monitoring, analytics, schedulers, sequences };
  } catch (error) {
    return { failure: await errorMessage(error) };
  }
}

/** Returns this app's scheme and host as the visitor's browser sees them, for the commands to copy. */
async function appAddress(): Promise<string> {
  const requestHeaders = await headers();
  const host = requestHeaders.get('x-forwarded-host') ?? requestHeaders.get('host') ?? 'localhost:3000';
  const scheme = requestHeaders.get('x-forwarded-proto')?.split(',')[0]?.trim() ?? 'http';
  return `${scheme}://${host}`;
}
