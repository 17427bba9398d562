/** Returns why a text is not the URL of a request, besides its scheme; null if it is. Whether its address may be requested is a separate check. */
export function urlFormFault(value: string): string | null {
  // Parsers drop or correct these characters in different ways. The URL that is validated must be the URL that is requested.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
  if (/[\u0000-\u0020\u007f\\]/.test(value))
    return 'contains white space, a control character or a backslash';
  if (!URL.canParse(value)) return 'is not a valid URL';
  const { username, password, port } = new URL(value);
  if (username || password) {
    return 'contains credentials: send them in a header instead, for example authorization';
  }
  return port === '0' ? 'has port 0, on which no server can listen' : null;
}
