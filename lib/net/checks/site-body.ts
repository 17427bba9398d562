import type { IncomingMessage } from 'node:http';
import { Readable, type Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { FailedCheckError } from './failed-check';

/** Of a body, packed and unpacked: what comes after it is not looked at. */
export const siteBodyBytes = 1024 * 1024;

/** Reads the body to its end, or as far as it is looked at. Rejects where it is cut off. Keeps it only where `keep` says so. */
export async function readSiteBody(response: IncomingMessage, keep: boolean): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (keep) chunks.push(chunk);
    if (bytes >= siteBodyBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, siteBodyBytes);
}

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
  const chunks: Buffer[] = [];
  let bytes = 0;
  const ending = () => unpacker.destroy(new Error('ended'));
  signal.addEventListener('abort', ending, { once: true });
  try {
    for await (const chunk of Readable.from([packed]).pipe(unpacker) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= siteBodyBytes) break;
    }
  } catch {
    if (!signal.aborted) throw new FailedCheckError(`its body cannot be unpacked (${coding})`);
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', ending);
    unpacker.destroy();
  }
  return Buffer.concat(chunks).subarray(0, siteBodyBytes);
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
