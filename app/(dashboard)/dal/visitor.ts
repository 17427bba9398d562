import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { cache } from 'react';
import { dashboardVisitor, visitorName } from '@/lib/http/auth/access.ts';
import { accessEnv } from '@/lib/services/env.ts';

export interface Visitor {
  name: string;
  /** False where the dashboard is open to everyone. */
  isSignedIn: boolean;
  /** Whether they may change anything. */
  mayAct: boolean;
}

/** Returns who visits the dashboard. Redirects everyone else to the sign-in, or to the page that explains why nobody can sign in. */
export const readVisitor = cache(async (): Promise<Visitor> => {
  const visitor = dashboardVisitor({ headers: await headers() }, accessEnv(), Date.now());
  if (visitor.access === 'sign in') redirect('/login');
  if (visitor.access === 'not configured') redirect('/closed');
  const { access, name, role } = visitor;
  return { name: name ?? visitorName, isSignedIn: access === 'session', mayAct: role === 'operator' };
});

/** Returns this app's scheme and host as the visitor's browser sees them, for the commands to copy. */
export const readAddress = cache(async (): Promise<string> => {
  const requestHeaders = await headers();
  const host = requestHeaders.get('x-forwarded-host') ?? requestHeaders.get('host') ?? 'localhost:3000';
  const scheme = requestHeaders.get('x-forwarded-proto')?.split(',')[0]?.trim() ?? 'http';
  return `${scheme}://${host}`;
});
