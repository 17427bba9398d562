import { createClient } from '@supabase/supabase-js';
import { StoreError } from '../engine/ports/store-error.ts';
import type { Rpc } from './rpc.ts';
import { storeErrorKind } from './store-error-kind.ts';

/** The server cancels a call after 4 s, so no response comes after 5 s. */
const timeoutMs = 5_000;

/** `Rpc` over supabase-js and PostgREST. `serviceRoleKey` is a secret key, or the legacy key of the service role. */
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
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { fetch },
    // The Data API needs no WebSocket, and Node 20 has none.
    realtime: { transport: class {} as never },
  });
  return rpcOver(client, `the Data API at ${new URL(url).host}`);
}

interface Answered {
  data: unknown;
  error: { message: string; code: string; details: string; hint: string } | null;
  status: number;
}

/** A client of supabase-js, of any version, with any default schema. */
export interface SupabaseLike {
  schema(name: string): {
    rpc(fn: string, args: object): { abortSignal(signal: AbortSignal): PromiseLike<Answered> };
  };
}

/** `Rpc` over a client of supabase-js. `api` names its Data API in errors. */
export function rpcOver(client: SupabaseLike, api = 'the Data API'): Rpc {
  const punctual = client.schema('punctual');
  return async (fn, args) => {
    const { data, error, status } = await punctual.rpc(fn, args).abortSignal(AbortSignal.timeout(timeoutMs));
    if (!error) return data;
    if (status === 401) {
      throw new StoreError(
        'misconfigured',
        `Supabase refused the API key${error.message ? ` (${error.message})` : ''}. ` +
          'Set SUPABASE_SECRET_KEY to a secret key, sb_secret_…, of the project at SUPABASE_URL and redeploy. ' +
          "You find it in Supabase's dashboard under Settings → API Keys",
        '401',
      );
    }
    const code = error.code || null;
    // Without a code the response, if any, came from a proxy in front of PostgREST.
    const kind = status === 403 ? 'misconfigured' : storeErrorKind(code);
    const reason = code
      ? error.message
      : status
        ? `${api} answered ${status}`
        : `${api} did not answer: ${causeOf(error)}`;
    throw new StoreError(kind, error.hint ? `${reason} (${error.hint})` : reason, code, {
      detail: code && error.details,
    });
  };
}

/** The message of supabase-js is "fetch failed". The cause is in its details: "Caused by: Error: getaddrinfo ENOTFOUND …". */
function causeOf({ message, details }: { message: string; details: string | null }): string {
  return /^Caused by: \w+: *(.+)$/m.exec(details ?? '')?.[1] ?? message;
}
