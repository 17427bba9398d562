import { unstable_rethrow } from 'next/navigation';
import { errorMessage } from '@/lib/http/error-response.ts';
import { HttpError, ValidationError } from '@/lib/http/http-error.ts';
import type { Services } from '@/lib/services/services.ts';
import { operatorServices } from '../acts/operator.ts';
import { readVisitor } from './visitor.ts';

/** What an act did, or why nothing was done, in words for people. */
export type ActResult = { done: string } | { failure: string };

/**
 * Runs an act of the visitor, who must be allowed what a POST to the API would be allowed: an operator, on a page of this host. Every Server Function
 * begins here. `run` returns what it did. Errors become messages, because Next hides the text of those that a Server Function throws.
 */
export async function actAsVisitor(
  run: (services: Services, by: string) => Promise<string>,
): Promise<ActResult> {
  // Without a session the visitor is sent to sign in.
  await readVisitor();
  try {
    const { services, by } = await operatorServices();
    const done = await run(services, by);
    services.stats.forget();
    return { done };
  } catch (error) {
    unstable_rethrow(error);
    return { failure: await reasonOf(error) };
  }
}

/** Returns the text of a form's field; undefined if it is empty or missing. */
export function textOf(form: FormData, name: string): string | undefined {
  const value = form.get(name);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

async function reasonOf(error: unknown): Promise<string> {
  if (error instanceof ValidationError)
    return error.errors
      .map(({ field, message }) => [field.replaceAll('_', ' '), message].filter(Boolean).join(': '))
      .join('. ');
  return error instanceof HttpError ? error.message : errorMessage(error);
}
