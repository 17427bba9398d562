import { build } from 'esbuild';
import { expect, it } from 'vitest';

/** Bundles what a browser's app imports of the client. Fails if it needs a built-in module of Node. */
async function bundle(contents: string) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: process.cwd(), loader: 'ts' },
    ...{ bundle: true, write: false, minify: true, metafile: true },
    ...{ platform: 'browser', format: 'esm', logLevel: 'silent' },
  });
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const files = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file);
  return { text: outputFiles[0]?.text ?? '', files };
}

const entry = './lib/client/punctual-client.ts';

it('the client over HTTP is less than 8 kB, and has no server code', async () => {
  const { text, files } = await bundle(`export { punctualClient, PunctualError } from '${entry}';`);
  expect(text.length).toBeLessThan(8_000);
  expect(
    files.filter((file) => file.startsWith('lib/') && !/^lib\/(client|engine\/ports)\//.test(file)),
  ).toEqual([]);
});

it('the client over Supabase needs no Node and no Next', async () => {
  const { text, files } = await bundle(`export { supabaseClient } from '${entry}';`);
  expect(text).not.toMatch(/\b(Buffer|process)\./);
  expect(files.filter((file) => /^node_modules\/(next|react|pg|pino|@electric-sql)\//.test(file))).toEqual(
    [],
  );
});
