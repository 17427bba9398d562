import { notFound } from 'next/navigation';
import { HttpError } from '@/lib/http/http-error.ts';
import { getServices, type Services } from '@/lib/services/services.ts';
import { readVisitor } from './visitor.ts';

/** Returns the server's services once it is known who asks. Every read of a page begins here. */
export async function visitedServices(): Promise<Services> {
  await readVisitor();
  return getServices();
}

/** Reads something that has an address. Shows the page "Not found" if it does not exist. */
export async function orNotFound<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if ((error as { status?: unknown }).status === 404) notFound();
    throw error;
  }
}

/** Reads something by a person’s input. An error names the fields that are wrong. */
export async function withFields<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { errors } = error as { errors?: { field: string; message: string }[] };
    if (!errors) throw error;
    throw new HttpError(
      422,
      'invalid',
      errors.map(({ field, message }) => `${field}: ${message}`).join('. '),
    );
  }
}
