import { maskSource, type Span } from './source-code.ts';

/** Removes comments and trailing commas, which a tsconfig may have. */
export function withoutJsonComments(text: string): string {
  const masked = maskSource(text);
  let result = '';
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const isQuote = masked[at] === '"';
    // Inside a string the masked text is blank; outside, only comments are.
    if (inString || isQuote) result += text[at];
    else if (!(masked[at] === ',' && /^,\s*[}\]]/.test(masked.slice(at)))) result += masked[at];
    if (isQuote) inString = !inString;
  }
  return result;
}

/** Finds the value of a key of the outermost object of a JSON text. Null if the object has no such key. */
export function findMember(text: string, key: string): Span | null {
  const masked = maskSource(text);
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = masked[at] ?? '';
    if ('[{'.includes(char)) depth += 1;
    else if (']}'.includes(char)) depth -= 1;
    else if (char === '"') {
      const end = masked.indexOf('"', at + 1);
      const colon = /^\s*:\s*/.exec(masked.slice(end + 1));
      if (depth === 1 && colon && JSON.parse(text.slice(at, end + 1)) === key) {
        return valueSpan(masked, end + 1 + colon[0].length);
      }
      at = end;
    }
  }
  return null;
}

function valueSpan(masked: string, start: number): Span {
  let depth = 0;
  for (let at = start; at < masked.length; at += 1) {
    const char = masked[at] ?? '';
    if (depth === 0 && (char === ',' || char === '}')) return { start, end: at };
    if ('[{'.includes(char)) depth += 1;
    else if (']}'.includes(char)) {
      depth -= 1;
      if (depth === 0) return { start, end: at + 1 };
    }
  }
  return { start, end: masked.length };
}

/** Returns the white space of the first indented line; two spaces if there is none. */
export const indentOf = (text: string) => /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
