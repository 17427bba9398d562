/** Decodes a part of a path. Returns it unchanged if its encoding is invalid. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
