/** For what runs outside Next, which reads these two for the app. What is set already wins over them. */
export function loadEnvFiles(): void {
  for (const file of ['.env.local', '.env']) {
    try {
      process.loadEnvFile?.(file); // from Node 20.12
    } catch {
      // not there
    }
  }
}
