/** A pair of offsets: from the first character up to, and not including, the last. */
export interface Span {
  start: number;
  end: number;
}

/** After one of these a slash begins a regular expression, and a line break does not end a statement. */
const expectsOperand = /[=(,[{:;!&|?+\-*%<>~^]$|\b(?:return|typeof|case|in|of|await)$/;

/**
 * Returns JavaScript or TypeScript with its comments, and what is inside of its strings, templates and regular expressions, replaced by spaces.
 * Offsets and line breaks stay, so that a pattern found in the result is code.
 */
export function maskSource(source: string): string {
  const masked = source.split('');
  const blank = (start: number, end: number) => {
    for (let at = start; at < end; at += 1) if (!/\s/.test(masked[at] ?? ' ')) masked[at] = ' ';
  };
  let at = 0;
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const one = two[0] ?? '';
    let end = at + 1;
    if (two === '//') {
      end = indexOrEnd(source, '\n', at);
      blank(at, end);
    } else if (two === '/*') {
      end = indexOrEnd(source, '*/', at + 2) + 2;
      blank(at, end);
    } else if (one === '"' || one === "'" || one === '`') {
      end = one === '`' ? templateEnd(source, at) : quotedEnd(source, at, one);
      blank(at + 1, end - 1);
    } else if (
      one === '/' &&
      expectsOperand.test(
        masked
          .slice(Math.max(0, at - 40), at)
          .join('')
          .trimEnd(),
      )
    ) {
      end = quotedEnd(source, at, '/');
      blank(at, end);
    }
    at = end;
  }
  return masked.join('');
}

function indexOrEnd(source: string, text: string, from: number): number {
  const found = source.indexOf(text, from);
  return found < 0 ? source.length : found;
}

/** Returns the offset after the quote that closes the one at `start`. A slash in a class, `[/]`, does not close a regular expression. */
function quotedEnd(source: string, start: number, quote: string): number {
  let isInClass = false;
  for (let at = start + 1; at < source.length; at += 1) {
    const char = source[at];
    if (char === '\\') at += 1;
    else if (char === '\n') return at;
    else if (quote === '/' && char === '[') isInClass = true;
    else if (char === ']') isInClass = false;
    else if (char === quote && !isInClass) return at + 1;
  }
  return source.length;
}

function templateEnd(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === '\\') at += 1;
    else if (source[at] === '`') return at + 1;
    else if (source.startsWith('${', at)) {
      let depth = 1;
      for (at += 2; at < source.length && depth > 0; at += 1) {
        if (source[at] === '`') at = templateEnd(source, at) - 1;
        else if (source[at] === '{') depth += 1;
        else if (source[at] === '}') depth -= 1;
      }
      at -= 1;
    }
  }
  return source.length;
}

/** Returns the offset of the bracket that closes the one at `open` in a masked source; -1 if there is none. */
export function closingBracket(masked: string, open: number): number {
  let depth = 0;
  for (let at = open; at < masked.length; at += 1) {
    if ('([{'.includes(masked[at] ?? ' ')) depth += 1;
    else if (')]}'.includes(masked[at] ?? ' ')) {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return -1;
}

/** Returns the span of the expression that begins at `start` in a masked source, up to its semicolon or the end of its last line. */
export function expressionSpan(masked: string, start: number): Span {
  let at = start;
  let end = start;
  while (at < masked.length) {
    const char = masked[at] ?? '';
    if (char === ';') break;
    if (char === '\n' && endsAt(masked, start, at)) break;
    if ('([{'.includes(char)) {
      const close = closingBracket(masked, at);
      if (close < 0) return { start, end: masked.length };
      at = close;
    }
    if (!/\s/.test(masked[at] ?? ' ')) end = at + 1;
    at += 1;
  }
  return { start, end };
}

/** Whether a line break at `at` ends the expression: nothing before it or after it continues it. */
function endsAt(masked: string, start: number, at: number): boolean {
  const before = masked.slice(start, at).trimEnd();
  const after = masked.slice(at).trimStart();
  if (before === '' || expectsOperand.test(before) || before.endsWith('=>')) return false;
  return !/^[.([?:+\-*/%&|=<,`]|^(?:as|satisfies|in|instanceof)\b/.test(after);
}

/** Returns the offset after the last import statement of a masked source; null if it has none. */
function importsEnd(masked: string): number | null {
  let end: number | null = null;
  for (const { index } of masked.matchAll(/^import\b(?!\s*\()/gm)) end = expressionSpan(masked, index).end;
  if (end === null) return null;
  return masked[end] === ';' ? end + 1 : end;
}

/** The quote and the semicolon that a file's own lines have. */
export function styleOf(source: string): { quote: string; semicolon: string; newline: string } {
  const lines = source.split('\n').filter((line) => /^(?:import|export|const|module)\b/.test(line));
  const [double, single] = ['"', "'"].map((quote) => lines.filter((line) => line.includes(quote)).length);
  const ended = lines.filter((line) => line.trimEnd().endsWith(';')).length;
  const open = lines.filter((line) => /["')\]}\w]$/.test(line.trimEnd())).length;
  return {
    quote: (double ?? 0) > (single ?? 0) ? '"' : "'",
    semicolon: open > ended ? '' : ';',
    newline: source.includes('\r\n') ? '\r\n' : '\n',
  };
}

/** Adds an import after the last one, or at the top, in the file's own style. */
export function addImport(source: string, name: string, from: string): string {
  const { quote, semicolon, newline } = styleOf(source);
  const line = `import { ${name} } from ${quote}${from}${quote}${semicolon}`;
  const end = importsEnd(maskSource(source));
  if (end === null) return `${line}${newline}${newline}${source}`;
  return `${source.slice(0, end)}${newline}${line}${source.slice(end)}`;
}
