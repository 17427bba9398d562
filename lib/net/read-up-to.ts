/**
 * Reads a stream to its end, or until `maxBytes` have arrived. The rest is neither read nor kept in memory. Rejects if the stream fails. `keep`
 * returns whether to keep a chunk, and may throw to stop reading.
 */
export async function readUpTo(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
  keep: (chunk: Uint8Array) => boolean = () => true,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    if (keep(chunk)) chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes >= maxBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}
