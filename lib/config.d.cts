/**
 * Adds to a Next.js configuration what Punctual needs: `serverExternalPackages` with the embedded database. Takes an object or a function, as
 * next.config exports them.
 */
export function withPunctual<Config>(config: Config): Config;
