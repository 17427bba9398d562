import type { IncomingMessage } from 'node:http';
import { Readable, type Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { readUpTo } from '../read-up-to';
import { FailedCheckError } from './failed-check';

/** Of a body, packed and unpacked: what comes after it is not looked at. */
export const siteBodyBytes = 1024 * 1024;

/** The text of a body, unpacked as far as it is looked at: what it would come to as a whole is never held. */
export async function textOfBody(
  body: Buffer,
  headers: IncomingMessage['headers'],
  signal: AbortSignal,
): Promise<string> {
  const codings = (headers['content-encoding'] ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length > 2) throw new FailedCheckError('its body is packed more than twice');
  if (body.byteLength === 0) return '';
  let bytes = body;
  for (const coding of codings.reverse()) bytes = await unpack(bytes, coding, signal);
  return decoderOf(headers['content-type'] ?? '', bytes).decode(bytes);
}

async function unpack(packed: Buffer, coding: string, signal: AbortSignal): Promise<Buffer> {
  const unpacker = unpackerOf(coding, packed);
  if (unpacker === null)
    throw new FailedCheckError(`its body is packed in a way that cannot be read (${coding.slice(0, 20)})`);
  const ending = () => unpacker.destroy(new Error('ended'));
  signal.addEventListener('abort', ending, { once: true });
  try {
    return await readUpTo(Readable.from([packed]).pipe(unpacker), siteBodyBytes);
  } catch {
    throw signal.aborted ? signal.reason : new FailedCheckError(`its body cannot be unpacked (${coding})`);
  } finally {
    signal.removeEventListener('abort', ending);
    unpacker.destroy();
  }
}

/** One that takes a body that was cut at its most bytes as well. */
function unpackerOf(coding: string, packed: Buffer): Transform | null {
  const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH } = constants;
  const lenient = packed.byteLength >= siteBodyBytes;
  const options = lenient ? { finishFlush: Z_SYNC_FLUSH } : {};
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip(options);
    case 'deflate':
      // Some servers leave out the frame that it should have.
      return ((packed[0] ?? 0) & 15) === 8 ? createInflate(options) : createInflateRaw(options);
    case 'br':
      return createBrotliDecompress(lenient ? { finishFlush: BROTLI_OPERATION_FLUSH } : {});
    default:
      return null;
  }
}

function decoderOf(contentType: string, bytes: Buffer): TextDecoder {
  const label =
    /;\s*charset\s*=\s*["']?([^\s;"']+)/i.exec(contentType)?.[1] ??
    /<meta[^>]{0,200}charset\s*=\s*["']?([^\s;"'>]+)/i.exec(
      bytes.subarray(0, 1_024).toString('latin1'),
    )?.[1] ??
    'utf-8';
  try {
    return new TextDecoder(label);
  } catch {
    return new TextDecoder();
  }
}
