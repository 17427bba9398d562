import { problem } from './respond';

/** Meta sends up to 3 MB, and again for a week what was refused. */
export const maxWebhookBytes = 3 * 1024 * 1024;

/** The bytes as they came, which a signature is made over, or the answer that says why not. A length that is only claimed is not believed. */
export async function readWebhookBody(request: Request): Promise<{ bytes: Buffer } | { refused: Response }> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > maxWebhookBytes) {
        const message = `the body is larger than ${maxWebhookBytes / 1024 / 1024} MB`;
        return { refused: problem(413, 'too_large', message) };
      }
      chunks.push(chunk);
    }
  } catch {
    return { refused: problem(400, 'incomplete', 'the body did not arrive in full') };
  }
  return { bytes: Buffer.concat(chunks) };
}
