import { headers } from 'next/headers';
import { dashboardVisitor, type Visitor } from '@/lib/http/auth/access.ts';
import { accessEnv } from '@/lib/services/env.ts';

/** Returns who visits the page: their access, name and role. Only a visitor with the role `operator` may change anything. */
export async function readVisitor(): Promise<Visitor> {
  return dashboardVisitor({ headers: await headers() }, accessEnv(), Date.now());
}
