import { redirect } from 'next/navigation';
import { CenteredCard } from '@/components/centered-card.tsx';
import { readVisitor } from '../read-visitor.ts';

export const metadata = { title: 'Sign in' };

interface LoginPageProps {
  searchParams: Promise<{ wrong?: string; wait?: string; name?: string }>;
}

/** Draws a plain form, which works before scripts load and without them. */
export default async function LoginPage({ searchParams }: LoginPageProps) {
  // The dashboard handles the other cases: signed in, open, or without a password on the server.
  if ((await readVisitor()).access !== 'sign in') redirect('/');

  const { wrong, wait, name } = await searchParams;
  const message = wait
    ? 'Too many wrong passwords. Wait a minute, then try again.'
    : wrong && 'Wrong password. Try again.';
  const nameMessage = name && 'A name has at most 60 characters, and no control characters. Sign in again.';

  return (
    <CenteredCard heading="Sign in">
      <form action="/api/session" method="post" className="grid gap-4">
        <div className="grid gap-1.5">
          <label htmlFor="name" className="font-medium">
            Your name
          </label>
          <input
            id="name"
            name="name"
            maxLength={60}
            autoComplete="name"
            aria-invalid={nameMessage ? true : undefined}
            aria-describedby="name-hint"
            className="h-10 rounded-md border border-muted bg-surface px-3 text-base aria-invalid:border-bad"
          />
          <p
            id="name-hint"
            role={nameMessage ? 'alert' : undefined}
            className={nameMessage ? 'text-bad' : 'text-muted'}
          >
            {nameMessage || 'Recorded with what you change. You may leave it empty.'}
          </p>
        </div>
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
            aria-invalid={message ? true : undefined}
            aria-describedby={message ? 'message' : 'hint'}
            className="h-10 rounded-md border border-muted bg-surface px-3 text-base aria-invalid:border-bad"
          />
          {message ? (
            <p id="message" role="alert" className="text-bad">
              {message}
            </p>
          ) : (
            <p id="hint" className="text-muted">
              The value of <code className="font-mono text-[0.8125rem]">DASHBOARD_PASSWORD</code> on the
              server, or of <code className="font-mono text-[0.8125rem]">DASHBOARD_VIEWER_PASSWORD</code> to
              look only.
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
