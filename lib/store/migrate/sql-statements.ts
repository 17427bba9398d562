export interface SqlStatement {
  /** The statement with its comments, without the closing semicolon. */
  text: string;
  /** The line in the file where `text` begins, from 1. */
  textLine: number;
  /** The first word after the comments, in lower case; empty if there are only comments. */
  verb: string;
  /** The line in the file of `verb`, from 1. */
  line: number;
}

const token =
  /--[^\n]*|\/\*|[eE]'(?:\\[\s\S]|''|[^'\\])*'?|'(?:''|[^'])*'?|"(?:""|[^"])*"?|\$(?:[a-z_]\w*)?\$|[\w$]+|\S/giu;

/**
 * Splits SQL into statements, as `supabase db push` does: at semicolons outside of strings, quoted names, dollar quotes, comments, parentheses and
 * `begin atomic` bodies. An unclosed quote reaches to the end of the text, and Postgres reports it.
 */
export function splitStatements(sql: string): SqlStatement[] {
  const statements: SqlStatement[] = [];
  let start = 0;
  let code: { offset: number; verb: string } | null = null;
  let parentheses = 0;
  let atomic = 0;
  let previous = '';

  const close = (end: number) => {
    const raw = sql.slice(start, end);
    const text = raw.trim();
    if (text) {
      const textAt = start + raw.indexOf(text);
      const line = lineAt(sql, code?.offset ?? textAt);
      statements.push({ text, textLine: lineAt(sql, textAt), verb: code?.verb ?? '', line });
    }
    start = end + 1;
    code = null;
    parentheses = 0;
    atomic = 0;
  };

  token.lastIndex = 0;
  for (let match = token.exec(sql); match; match = token.exec(sql)) {
    const found = match[0].toLowerCase();
    if (found.startsWith('--')) continue;
    if (found === '/*') {
      token.lastIndex = blockCommentEnd(sql, token.lastIndex);
      continue;
    }
    if (found === ';' && parentheses === 0 && atomic === 0) {
      close(match.index);
      previous = '';
      continue;
    }
    code ??= { offset: match.index, verb: found };
    if (/^\$.*\$$/.test(found)) {
      const end = sql.indexOf(match[0], token.lastIndex);
      token.lastIndex = end < 0 ? sql.length : end + match[0].length;
    } else if (found === '(') parentheses += 1;
    else if (found === ')') parentheses = Math.max(0, parentheses - 1);
    else if (found === 'atomic' && previous === 'begin') atomic = 1;
    else if (found === 'case' && atomic > 0) atomic += 1;
    else if (found === 'end' && atomic > 0) atomic -= 1;
    previous = found;
  }
  close(sql.length);
  return statements;
}

/** Returns the line, from 1, of the character at `offset` (in UTF-16 units, from 0). */
function lineAt(sql: string, offset: number): number {
  return sql.slice(0, offset).split('\n').length;
}

/** Returns the end of the block comment that was opened before `from`. In Postgres, block comments nest. */
function blockCommentEnd(sql: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  let depth = 1;
  for (let match = mark.exec(sql); match; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}
