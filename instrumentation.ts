/** Next calls this once per server. */
export async function register(): Promise<void> {
  // Next replaces both values at build time, so a production build contains none of this code.
  if (process.env.NEXT_RUNTIME === 'nodejs' && process.env.NODE_ENV === 'development') {
    const { startDevScheduler } = await import('./lib/worker/dev-scheduler.ts');
    // Next sets PORT to the port that it listens on.
    if (!process.env.VERCEL)
      startDevScheduler({ baseUrl: `http://127.0.0.1:${Number(process.env.PORT) || 3_000}` });
  }
}
