import { defineJob } from 'punctual';
import { z } from 'zod';

/** Counts the words, characters and lines of a text. */
export default defineJob({
  payload: z.strictObject({ text: z.string().max(100_000) }),

  run({ text }) {
    const words = text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];
    return { words: words.length, characters: [...text].length, lines: text.split('\n').length };
  },
});
