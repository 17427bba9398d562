// Compiles the benchmark and runs it: `npm run bench`. Compiled, as in production, because tsx names each function when it is made: our code would
// spend time on that, and the peers' compiled packages would not.
import { readFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const outfile = fileURLToPath(new URL('dist/main.mjs', import.meta.url));
/** Files find others by their own address, which would be the bundle's. */
const keepAddresses = {
  name: 'keep addresses',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const address = JSON.stringify(pathToFileURL(path).href);
      return { contents: text.replaceAll('import.meta.url', address), loader: 'ts' };
    });
  },
};

await build({
  entryPoints: [fileURLToPath(new URL('main.ts', import.meta.url))],
  outfile,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.9',
  sourcemap: true,
  plugins: [keepAddresses],
});
await import(pathToFileURL(outfile).href);
