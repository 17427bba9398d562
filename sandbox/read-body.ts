import type { IncomingMessage } from 'node:http';

/** The whole body, `'too long'` above so many bytes, or null when the client went away before its end. */
export async function readBody(request: IncomingMessage, most: number): Promise<Buffer | 'too long' | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      // The rest is read and dropped: a client that is still writing would not see the answer otherwise.
      if (bytes <= most) chunks.push(chunk);
      if (bytes > 16 * most) return null;
    }
  } catch {
    return null;
  }
  return bytes > most ? 'too long' : Buffer.concat(chunks);
}
