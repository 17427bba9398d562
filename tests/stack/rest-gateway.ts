import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * - `answer lost`: the call is carried out, and the connection breaks before its answer.
 * - `not sent`: the connection breaks before the call is carried out.
 * - `hangs`: the call is not carried out, and nobody answers.
 */
export type GatewayFault = 'answer lost' | 'not sent' | 'hangs';

export interface RestGateway {
  /** What supabase-js takes as the project's URL. */
  url: string;
  /** The paths called since the last reset, such as `rpc/exchange`, in order. */
  calls(): string[];
  resetCalls(): void;
  /** Meets the next calls with faults, one each; after them, all is well again. */
  failNext(...faults: GatewayFault[]): void;
  stop(): Promise<void>;
}

/** What stands before PostgREST at Supabase, as far as supabase-js needs it: `/rest/v1`. */
export async function startRestGateway(postgrestUrl: string): Promise<RestGateway> {
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
    const { method, headers } = incoming;
    const onward = request(new URL(target, postgrestUrl), { method, headers, agent }, (answer) => {
      if (fault === 'answer lost') {
        answer.resume().once('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
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
