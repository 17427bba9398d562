import { headers } from 'next/headers';
import { unstable_rethrow } from 'next/navigation';
import type { ActResult } from '@/components/acts/act-result.ts';
import { instantOf } from '@/components/time/instant-of.ts';
import { apiAccess } from '@/lib/http/auth/access.ts';
import { errorMessage } from '@/lib/http/error-response.ts';
import { HttpError, ValidationError } from '@/lib/http/http-error.ts';
import { accessEnv } from '@/lib/services/env.ts';
import { getServices, type Services } from '@/lib/services/services.ts';
import { readVisitor } from './visitor.ts';

/**
 * Runs an act of the visitor, who must be allowed what a POST to the API would be allowed: an operator, on a page of this host. Every Server Function
 * begins here. `run` returns what it did, or redirects. Errors become messages, because Next hides the text of those that a Server Function throws.
 */
export async function actAsVisitor(
  run: (services: Services, by: string) => Promise<string>,
): Promise<ActResult> {
  // Without a session the visitor is sent to sign in.
  await readVisitor();
  try {
    const by = await operatorName();
    const services = await getServices();
    try {
      return { done: await run(services, by) };
    } finally {
      services.stats.forget();
    }
  } catch (error) {
    unstable_rethrow(error);
    return { failure: await reasonOf(error) };
  }
}

/** Decides as the API does: a viewer and a request from another site are refused. Throws an `HttpError`. */
async function operatorName(): Promise<string> {
  const request = { method: 'POST', headers: await headers() };
  const access = apiAccess(request, accessEnv(), Date.now());
  if (!access.allowed) throw new HttpError(access.status, access.kind, access.message);
  return access.actor.name;
}

/** Returns the text of a form's field; undefined if it is empty or missing. */
export function textOf(form: FormData, name: string): string | undefined {
  const value = form.get(name);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

/** Returns the instant of an `InstantField`; undefined if it is empty or missing. */
export function instantIn(form: FormData, name: string): string | undefined {
  const text = textOf(form, name);
  return text && instantOf(text);
}

async function reasonOf(error: unknown): Promise<string> {
  if (error instanceof ValidationError)
    return error.errors
      .map(({ field, message }) => [field.replaceAll('_', ' '), message].filter(Boolean).join(': '))
      .join('. ');
  return error instanceof HttpError ? error.message : errorMessage(error);
}
