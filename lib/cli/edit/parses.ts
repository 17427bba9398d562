/** Whether a source is valid TypeScript or JavaScript, so that an edit that broke it is never written. */
export async function parses(source: string): Promise<boolean> {
  const { createJiti } = await import('jiti');
  const jiti = createJiti(import.meta.url, { fsCache: false });
  try {
    // Instead of throwing, jiti returns a module that carries the error.
    return !jiti.transform({ source, ts: true, async: true }).startsWith('exports.__JITI_ERROR__');
  } catch {
    return false;
  }
}
