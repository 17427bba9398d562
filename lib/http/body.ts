import { readUpTo } from '../net/read-up-to.ts';
import { HttpError } from './http-error.ts';

/** Fits 1,000 of the longest messages and their JSON syntax. */
const maxJsonBytes = 32 * 1024 * 1024;

/**
 * Reads a request's body as bytes, up to `maxBytes`. Stops reading at the limit, so a longer body costs no memory, whatever its Content-Length
 * claims. Throws an `HttpError`.
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new HttpError(413, 'too_large', `the body is larger than ${maxBytes / 1024 / 1024} MB: send it in parts`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  if (!request.body) return Buffer.of();
  const bytes = await readUpTo(request.body, maxBytes + 1).catch(() => {
    throw new HttpError(400, 'incomplete', 'the body did not arrive completely: send it again');
  });
  if (bytes.length > maxBytes) throw tooLarge();
  return bytes;
}

/** Parses the request's JSON. `emptyValue` is the value of an empty body, which is an error otherwise. Throws an `HttpError`. */
export async function readJson(request: Request, emptyValue?: unknown): Promise<unknown> {
  const bytes = await readBody(request, maxJsonBytes);
  return bytes.length === 0 && emptyValue !== undefined ? emptyValue : parseJson(bytes);
}

/** Parses a body as JSON in UTF-8 and returns it through `convert`. Throws an `HttpError` if it is not JSON, or if `convert` throws. */
export function parseJson(bytes: Buffer, convert = (value: unknown) => value): unknown {
  try {
    return convert(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    throw new HttpError(400, 'invalid_json', 'the body is not JSON in UTF-8');
  }
}
