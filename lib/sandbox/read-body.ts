import type { IncomingMessage } from 'node:http';

/** Reads a whole body. Returns `'too long'` above `maxBytes`, and null if the client went away before the end. */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<Buffer | 'too long' | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      // The rest is read and dropped. Otherwise a client that is still writing would not see the response.
      if (bytes <= maxBytes) chunks.push(chunk);
      if (bytes > 16 * maxBytes) return null;
    }
  } catch {
    return null;
  }
  return bytes > maxBytes ? 'too long' : Buffer.concat(chunks);
}
