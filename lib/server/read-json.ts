import { problem } from './respond';

/** A thousand of the longest messages, and their punctuation. */
const maxBytes = 32 * 1024 * 1024;

/** The request's JSON, or the answer that says what is wrong with it. `none`: what no body at all stands for. */
export async function readJson(
  request: Request,
  none?: unknown,
): Promise<{ value: unknown } | { refused: Response }> {
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
  if (bytes.length === 0 && none !== undefined) return { value: none };
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch {
    return { refused: problem(400, 'invalid_json', 'the body is not JSON in UTF-8') };
  }
}
