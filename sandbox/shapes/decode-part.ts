/** A part of a path as it was meant; one that nobody encoded well, as it stands. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
