import { readUpTo } from './read-up-to';

const MAX_ANSWER_BYTES = 1024 * 1024;

type Cut = 'answer_cut' | 'answer_too_long' | null;

/**
 * The body of an answer, up to 1 MB, as text and as JSON (null where it is not). Never throws: `cut` says
 * why a body was not read to its end, be it the connection, the call's signal or its size.
 */
export async function readAnswerBody(response: Response): Promise<{ text: string; body: unknown; cut: Cut }> {
  try {
    const bytes = response.body ? await readUpTo(response.body, MAX_ANSWER_BYTES + 1) : Buffer.of();
    const text = bytes.toString('utf8');
    const cut = bytes.length > MAX_ANSWER_BYTES ? 'answer_too_long' : null;
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
