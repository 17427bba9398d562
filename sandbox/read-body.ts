import type { IncomingMessage } from 'node:http';

export const MAX_BODY_BYTES = 1024 * 1024;

/** The whole body, `'too long'` above 1 MB, or null when the client went away before its end. */
export async function readBody(request: IncomingMessage): Promise<Buffer | 'too long' | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      // The rest is read and dropped: a client that is still writing would not see the answer otherwise.
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      if (bytes > 16 * MAX_BODY_BYTES) return null;
    }
  } catch {
    return null;
  }
  return bytes > MAX_BODY_BYTES ? 'too long' : Buffer.concat(chunks);
}
