import { addImport, closingBracket, expressionSpan, maskSource, styleOf } from './source-code.ts';

/**
 * Returns the source of a next.config with its export wrapped by `withPunctual`, unchanged if it is wrapped already. Null if the export has a form
 * that this does not know.
 */
export function wrapNextConfig(source: string): string | null {
  const masked = maskSource(source);
  if (/\bwithPunctual\b/.test(masked)) return source;
  const exports = [...masked.matchAll(/^(export\s+default|module\.exports\s*=)\s+/gm)];
  const [found] = exports;
  if (!found || exports.length > 1) return null;
  const isModule = found[1]?.startsWith('export') ?? false;
  const start = found.index + found[0].length;
  const end = exportEnd(masked, start);
  if (end === null) return null;
  const wrapped = `${source.slice(0, start)}withPunctual(${source.slice(start, end)})${source.slice(end)}`;
  return isModule ? addImport(wrapped, 'withPunctual', 'punctual/config') : addRequire(wrapped);
}

/** The end of the exported expression; null for a class, and for a function that other code refers to by name. */
function exportEnd(masked: string, start: number): number | null {
  const declaration = /^(?:async\s+)?(function|class)\b\s*\*?\s*(\w*)/.exec(masked.slice(start));
  if (!declaration) return expressionSpan(masked, start).end;
  const [, keyword, name = ''] = declaration;
  if (keyword === 'class') return null;
  // As an argument, the function's name is known in the function alone.
  if (name && [...masked.matchAll(new RegExp(`\\b${name}\\b`, 'g'))].length > 1) return null;
  const parameters = masked.indexOf('(', start);
  const body = masked.indexOf('{', closingBracket(masked, parameters));
  const close = closingBracket(masked, body);
  return parameters < 0 || body < 0 || close < 0 ? null : close + 1;
}

function addRequire(source: string): string {
  const { quote, semicolon, newline } = styleOf(source);
  const line = `const { withPunctual } = require(${quote}punctual/config${quote})${semicolon}`;
  const [directive = ''] = /^\s*(["'])use strict\1;?\s*/.exec(source) ?? [];
  return `${directive}${line}${newline}${directive ? '' : newline}${source.slice(directive.length)}`;
}

/** Returns what a next.config says of its paths, as far as it says it literally. */
export function readPaths(source: string | null): { basePath: string; trailingSlash: boolean } {
  const masked = maskSource(source ?? '');
  const at = /\bbasePath\s*:\s*["']/.exec(masked);
  const value = at ? /^["']([^"']*)/.exec((source ?? '').slice(at.index + at[0].length - 1))?.[1] : '';
  return { basePath: value ?? '', trailingSlash: /\btrailingSlash\s*:\s*true\b/.test(masked) };
}
