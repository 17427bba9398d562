import { addImport, closingBracket, maskSource, styleOf } from './source-code.ts';

/** Formatters break a longer line. Prettier's and Biome's default. */
const lineWidth = 80;

/**
 * Returns the source of a `punctual.ts` with a queue imported and added to `queues` of `definePunctual`. Unchanged if the list has the name.
 * Null if the list is not written out.
 */
export function addQueue(source: string, name: string, from: string): string | null {
  const masked = maskSource(source);
  const call = /\bdefinePunctual\s*(?:<[^(]*>)?\(\s*\{/.exec(masked);
  if (!call) return null;
  const open = call.index + call[0].length - 1;
  const close = closingBracket(masked, open);
  const list = /\bqueues\s*:\s*\[/.exec(masked.slice(open, close));
  if (!list) return null;
  const start = open + list.index + list[0].length - 1;
  const end = closingBracket(masked, start);
  if (end < 0) return null;
  if (new RegExp(`\\b${name}\\b`).test(masked.slice(start, end))) return source;
  const edited = source.slice(0, start) + withItem(source, start, end, name) + source.slice(end + 1);
  return addImport(edited, name, from);
}

/** The text of the array with one item more, as a formatter would write it. */
function withItem(source: string, start: number, end: number, name: string): string {
  const { newline } = styleOf(source);
  const inner = source.slice(start + 1, end);
  const body = inner.trimEnd();
  const lineStart = source.lastIndexOf('\n', start) + 1;
  const indent = /^[ \t]*/.exec(source.slice(lineStart))?.[0] ?? '';
  if (body.includes('\n')) {
    const itemIndent = /\n([ \t]*)\S/.exec(inner)?.[1] ?? `${indent}  `;
    // A comment after the last item would swallow the comma.
    const isCommentLast = /(?:\/\/[^\n]*|\*\/)$/.test(body);
    const comma = isCommentLast || maskSource(body).trimEnd().endsWith(',') ? '' : ',';
    return `[${body}${comma}${newline}${itemIndent}${name},${newline}${indent}]`;
  }
  const items = body.trim() === '' ? [name] : [...splitItems(body), name];
  const line = `[${items.join(', ')}]`;
  const lineEnd = source.indexOf('\n', end);
  const rest = source.slice(end + 1, lineEnd < 0 ? undefined : lineEnd).trimEnd();
  if (start - lineStart + line.length + rest.length <= lineWidth) return line;
  const itemIndent = `${indent}${indent.includes('\t') ? '\t' : '  '}`;
  return `[${newline}${items.map((item) => `${itemIndent}${item},${newline}`).join('')}${indent}]`;
}

/** Splits the inside of an array at its own commas. */
function splitItems(inner: string): string[] {
  const masked = maskSource(inner);
  const items: string[] = [];
  let start = 0;
  for (let at = 0; at < masked.length; at += 1) {
    if ('([{'.includes(masked[at] ?? ' ')) at = Math.max(at, closingBracket(masked, at));
    else if (masked[at] === ',') {
      items.push(inner.slice(start, at).trim());
      start = at + 1;
    }
  }
  items.push(inner.slice(start).trim());
  return items.filter(Boolean);
}
