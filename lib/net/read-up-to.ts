/**
 * Reads a stream to its end, or until `mostBytes` have come: the rest is neither read nor held, whatever length it has. Rejects where the stream
 * does. `keep` says whether a chunk is kept, and may throw to end the reading.
 */
export async function readUpTo(
  stream: AsyncIterable<Uint8Array>,
  mostBytes: number,
  keep: (chunk: Uint8Array) => boolean = () => true,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    if (keep(chunk)) chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes >= mostBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, mostBytes);
}
