import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * - `answer lost`: the call runs, and the connection breaks before the response.
 * - `not sent`: the connection breaks before the call runs.
 * - `hangs`: the call does not run, and no response comes.
 */
export type GatewayFault = 'answer lost' | 'not sent' | 'hangs';

export interface RestGateway {
  /** The project's URL, for supabase-js. */
  url: string;
  /** The paths called since the last reset, such as `rpc/exchange`, in order. */
  calls(): string[];
  resetCalls(): void;
  /** Fails the next calls with these faults, one each. Later calls succeed. */
  failNext(...faults: GatewayFault[]): void;
  stop(): Promise<void>;
}

/** The JWT that PostgREST gets for each secret or publishable key, as in a project whose legacy keys are disabled. */
export type ApiKeys = Record<string, string>;

/**
 * Starts a gateway in front of PostgREST that serves `/rest/v1`, as Supabase's does. With `keys` it checks the caller's key as Supabase does:
 * `apikey` is required, and `Authorization` may only repeat it. Without `keys` it passes the caller's own JWT on, as Supabase does with
 * legacy keys.
 * Source: https://supabase.com/docs/guides/api/api-keys
 */
export async function startRestGateway(postgrestUrl: string, keys?: ApiKeys): Promise<RestGateway> {
  const agent = new Agent({ keepAlive: true });
  let calls: string[] = [];
  const faults: GatewayFault[] = [];

  const handle = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const target = (incoming.url ?? '').replace(/^\/rest\/v1\//, '/');
    calls.push(target.slice(1).split('?')[0] ?? '');
    const fault = faults.shift();
    if (fault === 'hangs') return;
    if (fault === 'not sent') {
      incoming.socket.destroy();
      return;
    }
    const { method } = incoming;
    const headers = { ...incoming.headers };
    if (keys) {
      const refusal = refusalOf(headers, keys);
      if (refusal) {
        outgoing.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify(refusal));
        return;
      }
      headers.authorization = `Bearer ${keys[String(headers.apikey)]}`;
    }
    const onward = request(new URL(target, postgrestUrl), { method, headers, agent }, (response) => {
      if (fault === 'answer lost') {
        response.resume().once('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    onward.on('error', () => {
      if (!outgoing.headersSent) outgoing.writeHead(502);
      outgoing.end();
    });
    outgoing.once('close', () => onward.destroy());
    incoming.pipe(onward);
  };

  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    resetCalls() {
      calls = [];
    },
    failNext(...next) {
      faults.push(...next);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      agent.destroy();
    },
  };
}

function refusalOf({ apikey, authorization }: IncomingHttpHeaders, keys: ApiKeys) {
  if (apikey === undefined)
    return { message: 'No API key found in request', hint: 'No `apikey` request header was found.' };
  const key = String(apikey);
  if (key.startsWith('eyJ'))
    return { message: 'Legacy API keys are disabled', hint: 'Use a publishable or secret API key.' };
  if (!(key in keys)) return { message: 'Invalid API key', hint: 'Double check your API key.' };
  const isSame = authorization === undefined || authorization === `Bearer ${key}`;
  return isSame
    ? null
    : { message: 'Invalid JWT', hint: '`Authorization` is neither a JWT nor the API key.' };
}
