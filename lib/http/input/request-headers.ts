import { z } from 'zod';
import { atMost } from './at-most.ts';

/** Headers of the connection itself, and headers that could split one request into two. */
const connectionHeaders =
  /^(host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|http2-settings|proxy-.*)$/i;

/**
 * Headers that a caller gives for requests of ours, up to 50. `sender` names in errors who sets the others: those of the connection, and those that match
 * `reserved`. `maxCharacters` bounds all names and values together. Messages name headers and never contain their values, which may be secrets.
 */
export function requestHeaders({
  sender,
  reserved,
  maxCharacters = Number.POSITIVE_INFINITY,
}: {
  sender: string;
  reserved?: RegExp;
  maxCharacters?: number;
}) {
  return atMost(
    50,
    z.record(z.string(), z.string('is not a text').max(4_000, 'is longer than 4,000 characters')),
  ).superRefine((value, context) => {
    const names = Object.keys(value);
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message, input: undefined });
    if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
      refuse([], 'have one header twice: header names ignore case');
    }
    const characters = Object.entries(value).flat().join('').length;
    if (characters > maxCharacters) {
      refuse([], `are ${characters} characters with their names; at most ${maxCharacters} are allowed`);
    }
    for (const [name, text] of Object.entries(value)) {
      if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) refuse([name], 'is not a valid header name');
      else if (connectionHeaders.test(name) || reserved?.test(name))
        refuse([name], `is set by ${sender} itself`);
      if (text === '***') refuse([name], 'is masked: send its true value, or leave headers out to keep them');
      else if (!/^[\x20-\x7e\xa0-\xff]*$/.test(text)) {
        refuse([name], 'contains a character that a header cannot contain');
      }
    }
  });
}
