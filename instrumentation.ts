/** Called by Next once per server. */
export async function register(): Promise<void> {
  // Next writes these two values in when it builds, so that a production build has none of what follows.
  if (process.env.NEXT_RUNTIME === 'nodejs' && process.env.NODE_ENV === 'development') {
    const { startDevScheduler } = await import('./worker/dev-scheduler');
    // Next sets PORT to the one it really took.
    if (!process.env.VERCEL) startDevScheduler({ port: Number(process.env.PORT) || 3_000 });
  }
}
