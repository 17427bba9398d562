import { headers } from 'next/headers';
import { apiAccess } from '@/lib/http/auth/access.ts';
import { HttpError } from '@/lib/http/http-error.ts';
import { accessEnv } from '@/lib/services/env.ts';
import { getServices, type Services } from '@/lib/services/services.ts';

/**
 * Returns the server’s services, and the name of the operator who calls a Server Function. Decides as the API does: a viewer and a request from
 * another site are refused. Every Server Function begins here. Throws an `HttpError`.
 */
export async function operatorServices(): Promise<{ services: Services; by: string }> {
  const request = { method: 'POST', headers: await headers() };
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return { services: await getServices(), by: access.actor.name };
}
