import { problem } from './respond';

/** A thousand of the longest messages, and their punctuation. */
const maxBytes = 32 * 1024 * 1024;

/** The request's JSON, or the answer that says what is wrong with it. */
export async function readJson(request: Request): Promise<{ value: unknown } | { refused: Response }> {
  const tooLarge = () => ({
    refused: problem(
      413,
      'too_large',
      `the body is larger than ${maxBytes / 1024 / 1024} MB: send it in parts`,
    ),
  });
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) return tooLarge();
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > maxBytes) return tooLarge();
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch {
    return { refused: problem(400, 'invalid_json', 'the body is not JSON in UTF-8') };
  }
}
