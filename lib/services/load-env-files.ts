/** Loads `.env.local` and `.env` for processes outside Next; Next loads them for the app. Variables that are set already win. */
export function loadEnvFiles(): void {
  for (const file of ['.env.local', '.env']) {
    try {
      process.loadEnvFile?.(file); // Node 20.12 or later.
    } catch {
      // The file does not exist.
    }
  }
}
