import { readBody } from './read-body';
import { problem } from './respond';

/** A thousand of the longest messages, and their punctuation. */
const maxBytes = 32 * 1024 * 1024;

/** The request's JSON, or the answer that says what is wrong with it. `none`: what no body at all stands for. */
export async function readJson(
  request: Request,
  none?: unknown,
): Promise<{ value: unknown } | { refused: Response }> {
  const read = await readBody(request, maxBytes);
  if ('refused' in read) return read;
  if (read.bytes.length === 0 && none !== undefined) return { value: none };
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(read.bytes)) };
  } catch {
    return { refused: problem(400, 'invalid_json', 'the body is not JSON in UTF-8') };
  }
}
