import { z } from 'zod';
import { NotConfiguredError } from '../../engine/queue.ts';
import { requestHeaders } from '../../http/input/request-headers.ts';
import { storableText } from '../../http/input/storable-text.ts';
import { urlFormFault } from '../../http/input/url-form.ts';
import { describeCall, jobMethods, jobUrlFault } from '../../jobs/call-url.ts';
import { addressCheck } from '../../net/address-check.ts';
import { type JobEnv, jobGuard } from './queue.ts';

/** In characters of its ASCII form. With a unique key of the longest length, the index of keys takes no longer name. */
const maxUrlLength = 2_000;

const jobUrl = storableText(maxUrlLength)
  .superRefine((value, context) => {
    const isHttp = /^https?:\/\//i.test(value);
    const fault = isHttp
      ? urlFormFault(value)
      : 'must begin with https://, or with http:// for a host that is allowed';
    if (fault) context.addIssue({ code: 'custom', message: fault, continue: false });
  })
  .transform((value) => Object.assign(new URL(value), { hash: '' }))
  .refine(({ href }) => href.length <= maxUrlLength, `is longer than ${maxUrlLength} characters in ASCII`);

/** The fields with which a job names a URL in place of a handler. */
export const urlFields = {
  url: jobUrl.describe(
    'The URL to call, at a public address: see [jobs](jobs.md#call-a-url-instead-of-a-handler).',
  ),
  method: z.enum(jobMethods).default('POST').describe('`POST` by default.'),
  headers: requestHeaders({
    sender: 'Punctual',
    reserved: /^(punctual-.*|idempotency-key|accept-encoding)$/i,
    // Servers refuse requests with more than 8 to 16 KB of headers.
    maxCharacters: 8_000,
  }).default({}),
};

/** Returns the columns of a row that calls a URL. Its name is what lists show. */
export const callColumns = ({ url, method, headers }: { url: URL; method: string; headers: object }) => ({
  name: describeCall(method, url),
  request: { url: url.href, method, headers },
});

/** Returns why a job must not call a URL; null if it may, or if its name was not resolved in time. */
export type CallCheck = (url: URL) => Promise<string | null>;

/**
 * Makes the check of the addresses that jobs of one API call name. The check throws a `NotConfiguredError` if calls cannot be signed, because a receiver
 * could not tell an unsigned call from a stranger's.
 */
export function callCheck(env: JobEnv): CallCheck {
  const guard = jobGuard(env);
  const check = addressCheck(guard);
  return async (url) => {
    if (!env.jobSigningSecrets?.length) {
      throw new NotConfiguredError(
        'a job can call a URL only once JOB_SIGNING_SECRET is set: set it to a long random text, give it to the receiver, and redeploy. Nothing was created',
        ['JOB_SIGNING_SECRET'],
      );
    }
    return jobUrlFault(url, guard) ?? (await check(url.href));
  };
}
