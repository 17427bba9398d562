import { problem } from './respond';

/**
 * Reads a request's body of at most `maxBytes`: the bytes as they came, or the response that refuses it. Stops reading at the limit, so that
 * a longer body costs no memory, whatever length it claims.
 */
export async function readBody(
  request: Request,
  maxBytes: number,
): Promise<{ bytes: Buffer } | { refused: Response }> {
  const tooLarge = () => {
    const message = `the body is larger than ${maxBytes / 1024 / 1024} MB: send it in parts`;
    return { refused: problem(413, 'too_large', message) };
  };
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) return tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > maxBytes) return tooLarge();
      chunks.push(chunk);
    }
  } catch {
    return { refused: problem(400, 'incomplete', 'the body did not arrive in full') };
  }
  return { bytes: Buffer.concat(chunks) };
}
