import { readUpTo } from '../net/read-up-to';
import { HttpError } from './http-error';

/** A thousand of the longest messages, and their punctuation. */
const maxJsonBytes = 32 * 1024 * 1024;

/**
 * Reads a request's body of at most `maxBytes`, as the bytes that came. Stops reading at the limit, so that a longer body costs no memory,
 * whatever length it claims. Throws an `HttpError`.
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new HttpError(413, 'too_large', `the body is larger than ${maxBytes / 1024 / 1024} MB: send it in parts`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  if (!request.body) return Buffer.of();
  const bytes = await readUpTo(request.body, maxBytes + 1).catch(() => {
    throw new HttpError(400, 'incomplete', 'the body did not arrive in full');
  });
  if (bytes.length > maxBytes) throw tooLarge();
  return bytes;
}

/** The request's JSON. `none`: what no body at all stands for. Throws an `HttpError`. */
export async function readJson(request: Request, none?: unknown): Promise<unknown> {
  const bytes = await readBody(request, maxJsonBytes);
  return bytes.length === 0 && none !== undefined ? none : parseJson(bytes);
}

/** The JSON of a body, as `read` has it. Throws an `HttpError` for what is no JSON in UTF-8, and for what `read` throws at. */
export function parseJson(bytes: Buffer, read = (value: unknown) => value): unknown {
  try {
    return read(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    throw new HttpError(400, 'invalid_json', 'the body is not JSON in UTF-8');
  }
}
