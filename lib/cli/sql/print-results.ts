import type { SqlError, SqlResult } from '../../store/embedded/pglite-sql.ts';

/** Formats results as psql does: a table for a statement that returns columns, otherwise its command. */
export function printResults(results: SqlResult[]): string {
  return results.map((result) => `${printResult(result)}\n`).join('');
}

function printResult({ command, rowCount, columns, rows }: SqlResult): string {
  if (columns.length === 0) return [command, rowCount].filter((part) => part !== null).join(' ');
  const cells = rows.map((row) => row.map((value) => (value ?? '').replace(/\r?\n/g, '↵')));
  const widths = columns.map((name, n) => Math.max(name.length, ...cells.map((row) => row[n]?.length ?? 0)));
  const line = (row: string[]) =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join(' | ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('-+-');
  const count = `(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`;
  return [line(columns), rule, ...cells.map(line), count].join('\n');
}

/** Formats an error of Postgres with its line in `text`. */
export function printError({ message, fields }: Pick<SqlError, 'message' | 'fields'>, text: string): string {
  const { code, detail, hint, position } = fields;
  const before = [...text].slice(0, Number(position ?? 1) - 1).join('');
  const place = position === undefined ? '' : `line ${before.split('\n').length}: `;
  const more = [detail, hint].filter(Boolean).map((line) => `\n  ${line}`);
  return `${place}${message}${code ? ` (${code})` : ''}${more.join('')}`;
}
