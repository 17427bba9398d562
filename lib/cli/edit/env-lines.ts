export interface EnvLine {
  name: string;
  value?: string;
  comment?: string;
  /** Written as a comment, because most apps leave it out. */
  isOptional?: boolean;
}

/** Returns the names that a `.env` file sets, with their values as written. */
export function readEnvNames(text: string | null): Map<string, string> {
  const found = (text ?? '').matchAll(/^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=[ \t]*(.*?)[ \t\r]*$/gm);
  return new Map(
    [...found].map(([, name = '', value = '']) => [name, value.replace(/^(["'])(.*)\1$/, '$2')]),
  );
}

/**
 * Returns the text of a `.env` file with the lines whose names it lacks, under a heading. With `countsComments` a name in a comment, `# NAME=`, is
 * there already, as in an example.
 */
export function addEnvLines(
  text: string | null,
  lines: EnvLine[],
  heading: string,
  { countsComments = false } = {},
): string {
  const bare = countsComments ? (text ?? '').replace(/^\s*#\s*(?=[A-Za-z_]\w*=)/gm, '') : text;
  const known = readEnvNames(bare);
  const missing = lines.filter(({ name }) => !known.has(name));
  if (missing.length === 0) return text ?? '';
  const newline = text?.includes('\r\n') ? '\r\n' : '\n';
  const block = [
    `# ${heading}`,
    ...missing.flatMap(({ name, value = '', comment, isOptional }) => [
      ...(comment ? [`# ${comment}`] : []),
      `${isOptional ? '# ' : ''}${name}=${value}`,
    ]),
  ];
  const before = text ? `${text.replace(/\s*$/, '')}${newline}${newline}` : '';
  return `${before}${block.join(newline)}${newline}`;
}
