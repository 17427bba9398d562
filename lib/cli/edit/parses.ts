/** Whether a source is valid TypeScript or JavaScript, so that an edit that broke it is never written. */
export async function parses(source: string): Promise<boolean> {
  const { createJiti } = await import('jiti');
  try {
    // A script that fails to parse is replaced by one that throws.
    createJiti(import.meta.url, { fsCache: false }).transform({ source, ts: true, async: true });
    return true;
  } catch {
    return false;
  }
}
