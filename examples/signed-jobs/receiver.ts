// Receives jobs: JOB_SIGNING_SECRET=… PORT=4040 npx tsx examples/signed-jobs/receiver.ts
// In an app of your own, copy lib/jobs/signature.ts: it imports nothing.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { SignatureError, verifySignature } from '../../lib/jobs/signature.ts';

/** The results of jobs that are done, by their keys. A real app keeps them in a table with a unique key. */
const results = new Map<string, string>();

const server = createServer(async (request, response) => {
  try {
    const call = { header: request.headers['punctual-signature'], body: await text(request) };
    const { to } = JSON.parse(await verifySignature(call, process.env.JOB_SIGNING_SECRET ?? ''));
    const key = String(request.headers['idempotency-key']);
    if (!results.has(key))
      results.set(key, JSON.stringify({ mailedTo: to, attempt: request.headers['punctual-attempt'] }));
    response.end(results.get(key));
  } catch (error) {
    response.writeHead(error instanceof SignatureError ? 401 : 500).end(String(error));
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening:', server.address()));
