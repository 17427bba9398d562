import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { CenteredCard } from '@/components/centered-card.tsx';
import { dashboardVisitor } from '@/lib/http/auth/access.ts';
import { accessEnv } from '@/lib/services/env.ts';

export const metadata = { title: 'Closed' };

/** Says why nobody can sign in. */
export default async function ClosedPage() {
  const { access } = dashboardVisitor({ headers: await headers() }, accessEnv(), Date.now());
  if (access !== 'not configured') redirect('/');
  return (
    <CenteredCard heading="The dashboard is closed">
      <p className="text-muted">
        Nobody can sign in, because this server has no password. Set the environment variable{' '}
        <code className="font-mono text-ink">DASHBOARD_PASSWORD</code> and restart the server.
      </p>
    </CenteredCard>
  );
}
