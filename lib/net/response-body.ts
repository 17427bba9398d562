import { readUpTo } from './read-up-to.ts';

export const maxResponseBytes = 1024 * 1024;

type Cut = 'answer_cut' | 'answer_too_long' | null;

/**
 * Reads a response's body, up to 1 MB, as text and as JSON; `body` is null if it is not JSON. Never throws: `cut` says why the body is incomplete.
 * `answer_cut` means that the connection broke or the call's signal fired.
 */
export async function readResponseBody(
  stream: AsyncIterable<Uint8Array> | null,
): Promise<{ text: string; body: unknown; cut: Cut }> {
  try {
    const bytes = stream ? await readUpTo(stream, maxResponseBytes + 1) : Buffer.of();
    const text = bytes.toString('utf8');
    const cut = bytes.length > maxResponseBytes ? 'answer_too_long' : null;
    return { text, body: cut ? null : parseJson(text), cut };
  } catch {
    return { text: '', body: null, cut: 'answer_cut' };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
