import type { IncomingMessage } from 'node:http';
import { Readable, type Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { readUpTo } from '../read-up-to.ts';
import { FailedCheckError } from './failed-check.ts';

/** The bytes that a check reads of a body, before and after decompression. The rest is ignored. */
export const siteBodyBytes = 1024 * 1024;

/** Returns a body's text. Decompresses only `siteBodyBytes` of it, so a decompression bomb takes no memory. */
export async function textOfBody(
  body: Buffer,
  headers: IncomingMessage['headers'],
  signal: AbortSignal,
): Promise<string> {
  const codings = (headers['content-encoding'] ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length > 2) throw new FailedCheckError('its body is compressed more than twice');
  if (body.byteLength === 0) return '';
  let bytes = body;
  for (const coding of codings.reverse()) bytes = await decompress(bytes, coding, signal);
  return decoderOf(headers['content-type'] ?? '', bytes).decode(bytes);
}

async function decompress(compressed: Buffer, coding: string, signal: AbortSignal): Promise<Buffer> {
  const decompressor = decompressorOf(coding, compressed);
  if (decompressor === null)
    throw new FailedCheckError(`its body has an unsupported compression (${coding.slice(0, 20)})`);
  const end = () => decompressor.destroy(new Error('ended'));
  signal.addEventListener('abort', end, { once: true });
  try {
    return await readUpTo(Readable.from([compressed]).pipe(decompressor), siteBodyBytes);
  } catch {
    throw signal.aborted
      ? signal.reason
      : new FailedCheckError(`its body cannot be decompressed (${coding})`);
  } finally {
    signal.removeEventListener('abort', end);
    decompressor.destroy();
  }
}

/** Returns the decompressor of a coding, or null. It accepts a body that was cut at `siteBodyBytes`. */
function decompressorOf(coding: string, compressed: Buffer): Transform | null {
  const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH } = constants;
  const isCut = compressed.byteLength >= siteBodyBytes;
  const options = isCut ? { finishFlush: Z_SYNC_FLUSH } : {};
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip(options);
    case 'deflate':
      // Some servers omit the zlib header.
      return ((compressed[0] ?? 0) & 15) === 8 ? createInflate(options) : createInflateRaw(options);
    case 'br':
      return createBrotliDecompress(isCut ? { finishFlush: BROTLI_OPERATION_FLUSH } : {});
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
