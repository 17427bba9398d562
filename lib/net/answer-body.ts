const MAX_ANSWER_BYTES = 1024 * 1024;

type Cut = 'answer_cut' | 'answer_too_long' | null;

/**
 * The body of an answer, up to 1 MB, as text and as JSON (null where it is not). Never throws: `cut` says
 * why a body was not read to its end, be it the connection, the call's signal or its size.
 */
export async function readAnswerBody(response: Response): Promise<{ text: string; body: unknown; cut: Cut }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let cut: Cut = null;
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > MAX_ANSWER_BYTES) {
        cut = 'answer_too_long';
        break;
      }
      chunks.push(chunk);
    }
  } catch {
    cut = 'answer_cut';
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return { text, body: cut ? null : parseJson(text), cut };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
