import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { CenteredCard } from '@/components/centered-card';
import { dashboardDoor } from '@/lib/http/auth/access';
import { readSessionCookie } from '@/lib/http/auth/session';
import { accessEnv } from '@/lib/services/env';

export const metadata = { title: 'Sign in' };

interface LoginPageProps {
  searchParams: Promise<{ wrong?: string; wait?: string }>;
}

/** A plain form: it works before, and without, any script. */
export default async function LoginPage({ searchParams }: LoginPageProps) {
  const cookie = readSessionCookie({ headers: await headers() });
  // Whoever needs no password, or cannot have one yet, is told so there.
  if (dashboardDoor(accessEnv(), cookie, Date.now()) !== 'sign in') redirect('/');

  const { wrong, wait } = await searchParams;
  const complaint = wait
    ? 'Too many wrong passwords. Wait a minute, then try again.'
    : wrong && 'That is not the password.';

  return (
    <CenteredCard heading="Sign in">
      <form action="/api/session" method="post" className="grid gap-4">
        <div className="grid gap-1.5">
          <label htmlFor="password" className="font-medium">
            Password
          </label>
          <input
            id="password"
            name="password"
            type="password"
            required
            autoComplete="current-password"
            aria-invalid={complaint ? true : undefined}
            aria-describedby={complaint ? 'complaint' : 'hint'}
            className="h-10 rounded-md border border-muted bg-surface px-3 text-base aria-invalid:border-bad"
          />
          {complaint ? (
            <p id="complaint" role="alert" className="text-bad">
              {complaint}
            </p>
          ) : (
            <p id="hint" className="text-muted">
              What the server has as <code className="font-mono text-[0.8125rem]">DASHBOARD_PASSWORD</code>.
            </p>
          )}
        </div>
        <button type="submit" className="h-10 cursor-pointer rounded-md bg-accent font-medium text-on-accent">
          Sign in
        </button>
      </form>
    </CenteredCard>
  );
}
