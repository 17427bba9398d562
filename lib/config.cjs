// The package's entry point `punctual/config`, for next.config. CommonJS, because a next.config may be of either kind.

/** What must not be bundled: PGlite loads its WebAssembly from its own folder. */
const externals = ['@electric-sql/pglite'];

function withPunctual(config) {
  if (typeof config === 'function') return async (...args) => withPunctual(await config(...args));
  const listed = config?.serverExternalPackages ?? [];
  return { ...config, serverExternalPackages: [...new Set([...listed, ...externals])] };
}

exports.withPunctual = withPunctual;
