import { createClient } from '@supabase/supabase-js';
import { type Rpc, StoreError } from './rpc';
import { storeErrorKind } from './store-error-kind';

/** The server ends a call after 4 s; an answer that is not here after 5 is not coming. */
const timeoutMs = 5_000;

/** `Rpc` over supabase-js and PostgREST. `url` and `serviceRoleKey` as Supabase shows them. */
export function supabaseRpc({
  url,
  serviceRoleKey,
  fetch = globalThis.fetch,
}: {
  url: string;
  serviceRoleKey: string;
  fetch?: typeof globalThis.fetch;
}): Rpc {
  const client = createClient(url, serviceRoleKey, {
    db: { schema: 'punctual' },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { fetch },
    // The Data API needs no socket, and Node 20 has none to give.
    realtime: { transport: class {} as never },
  });
  const { host } = new URL(url);
  return async (fn, args) => {
    const { data, error, status } = await client.rpc(fn, args).abortSignal(AbortSignal.timeout(timeoutMs));
    if (!error) return data;
    const code = error.code || null;
    // Without a code the answer, if there was one, came from something before PostgREST.
    const kind = status === 401 || status === 403 ? 'misconfigured' : storeErrorKind(code);
    const reason = code
      ? error.message
      : status
        ? `the Data API at ${host} answered ${status}`
        : `the Data API at ${host} did not answer: ${causeOf(error)}`;
    throw new StoreError(kind, error.hint ? `${reason} (${error.hint})` : reason, code);
  };
}

/** supabase-js says "fetch failed", and the cause among its details: "Caused by: Error: getaddrinfo ENOTFOUND …". */
function causeOf({ message, details }: { message: string; details: string | null }): string {
  return /^Caused by: \w+: *(.+)$/m.exec(details ?? '')?.[1] ?? message;
}
