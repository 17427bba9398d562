import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { withoutJsonComments } from '@/lib/cli/edit/json-text.ts';
import { readPaths, wrapNextConfig } from '@/lib/cli/edit/next-config.ts';
import { parses } from '@/lib/cli/edit/parses.ts';
import { addQueue } from '@/lib/cli/edit/queue-list.ts';
import { maskSource } from '@/lib/cli/edit/source-code.ts';
import { addCronEntries } from '@/lib/cli/edit/vercel-crons.ts';

// As a next.config of either kind loads it.
const { withPunctual } = createRequire(import.meta.url)('../../lib/config.cjs');

const imported = "import { withPunctual } from 'punctual/config';";

describe('the edit of next.config', () => {
  it.each([
    [
      'an object',
      '/** @type {import("next").NextConfig} */\nexport default { images: { domains: [] } };\n',
      `${imported}\n\n/** @type {import("next").NextConfig} */\nexport default withPunctual({ images: { domains: [] } });\n`,
    ],
    [
      'a constant, without semicolons',
      "import type { NextConfig } from 'next'\n\nconst config: NextConfig = {}\n\nexport default config\n",
      `import type { NextConfig } from 'next'\n${imported.slice(0, -1)}\n\nconst config: NextConfig = {}\n\nexport default withPunctual(config)\n`,
    ],
    [
      'a wrapped object of several lines',
      "import mdx from '@next/mdx';\nexport default mdx({\n  // a comment; with a semicolon\n  test: /[;)]/,\n})({ reactStrictMode: true });\n// the end\n",
      `import mdx from '@next/mdx';\n${imported}\nexport default withPunctual(mdx({\n  // a comment; with a semicolon\n  test: /[;)]/,\n})({ reactStrictMode: true }));\n// the end\n`,
    ],
    [
      'a function',
      'export default async function configure(phase) {\n  return { phase };\n}\n',
      `${imported}\n\nexport default withPunctual(async function configure(phase) {\n  return { phase };\n})\n`,
    ],
    [
      'an arrow function with satisfies',
      'export default (phase: string) => ({ env: { phase } }) satisfies NextConfig;\n',
      `${imported}\n\nexport default withPunctual((phase: string) => ({ env: { phase } }) satisfies NextConfig);\n`,
    ],
    [
      'CommonJS',
      "'use strict';\nmodule.exports = {\n  reactStrictMode: true,\n};\n",
      "'use strict';\nconst { withPunctual } = require('punctual/config');\nmodule.exports = withPunctual({\n  reactStrictMode: true,\n});\n",
    ],
  ])('wraps %s, and once only', async (_name, source, expected) => {
    const wrapped = wrapNextConfig(source);
    expect(wrapped).toBe(expected);
    expect(wrapNextConfig(expected)).toBe(expected);
    expect(await parses(expected)).toBe(true);
  });

  it.each([
    'export default class Config {}\n',
    'export { config as default };\n',
    'export default function configure() {\n  return configure.value;\n}\n',
    '// export default {}\nconst text = "export default {}";\n',
  ])('leaves a form alone that it does not know: %s', (source) => {
    expect(wrapNextConfig(source)).toBeNull();
  });

  it('reads basePath and trailingSlash where they are literals', () => {
    expect(readPaths("export default { basePath: '/shop', trailingSlash: true };")).toEqual({
      basePath: '/shop',
      trailingSlash: true,
    });
    expect(readPaths("export default { /* basePath: '/shop' */ };")).toEqual({
      basePath: '',
      trailingSlash: false,
    });
  });
});

describe('withPunctual', () => {
  it('adds the embedded database to the external packages, of an object and of a function', async () => {
    const config = { serverExternalPackages: ['sharp'], basePath: '/shop' };
    const expected = { ...config, serverExternalPackages: ['sharp', '@electric-sql/pglite'] };
    expect(withPunctual(config)).toEqual(expected);
    expect(withPunctual(withPunctual(config))).toEqual(expected);
    expect(await withPunctual(async () => config)()).toEqual(expected);
    expect(withPunctual({})).toEqual({ serverExternalPackages: ['@electric-sql/pglite'] });
  });
});

describe('the edit of punctual.ts', () => {
  const file = (list: string, imports = '') =>
    `import { definePunctual } from 'punctual';\n${imports}\nexport const punctual = definePunctual({\n  queues: ${list},\n});\n`;
  const reminders = "import { reminders } from './queues/reminders';\n";

  it.each([
    ['an empty list', '[]', '[reminders]'],
    ['a line', '[trials]', '[trials, reminders]'],
    ['calls in a line', '[jobs({ a: [1, 2] }), trials]', '[jobs({ a: [1, 2] }), trials, reminders]'],
    [
      'lines',
      '[\n    trials, // the first\n    invoices,\n  ]',
      '[\n    trials, // the first\n    invoices,\n    reminders,\n  ]',
    ],
    [
      'a line that becomes too long',
      `[${'a'.repeat(30)}, ${'b'.repeat(30)}]`,
      `[\n    ${'a'.repeat(30)},\n    ${'b'.repeat(30)},\n    reminders,\n  ]`,
    ],
  ])('adds to %s', async (_name, before, after) => {
    const edited = addQueue(file(before), 'reminders', './queues/reminders');
    expect(edited).toBe(file(after, reminders));
    expect(addQueue(edited ?? '', 'reminders', './queues/reminders')).toBe(edited);
    expect(await parses(edited ?? '')).toBe(true);
  });

  it('takes the quotes and semicolons of the file', () => {
    const source =
      'import { definePunctual } from "punctual"\n\nexport const punctual = definePunctual({ queues: [] })\n';
    expect(addQueue(source, 'a', './queues/a')).toContain('\nimport { a } from "./queues/a"\n');
  });

  it.each(['definePunctual({ queues })', 'definePunctual(options)', '// definePunctual({ queues: [] })'])(
    'leaves %s alone',
    (source) => expect(addQueue(source, 'a', './a')).toBeNull(),
  );
});

describe('the edit of vercel.json', () => {
  const entry = { path: '/a', schedule: '* * * * *' };
  const line = '{ "path": "/a", "schedule": "* * * * *" }';
  it.each([
    [
      'no file',
      null,
      `{\n  "$schema": "https://openapi.vercel.sh/vercel.json",\n  "crons": [\n    ${line}\n  ]\n}\n`,
    ],
    ['an empty object', '{}', `{\n  "crons": [\n    ${line}\n  ]\n}`],
    ['no crons', '{\n\t"a": "}"\n}\n', `{\n\t"a": "}",\n\t"crons": [\n\t\t${line}\n\t]\n}\n`],
    ['an empty list', '{\n  "crons": []\n}\n', `{\n  "crons": [\n    ${line}\n  ]\n}\n`],
    [
      'one line',
      '{ "x": { "crons": 1 }, "crons": [{ "path": "/b", "schedule": "0 1 * * *" }] }',
      `{ "x": { "crons": 1 }, "crons": [{ "path": "/b", "schedule": "0 1 * * *" }, ${line}] }`,
    ],
    [
      'Windows line ends',
      '{\r\n  "crons": [\r\n    { "path": "/b", "schedule": "0 1 * * *" }\r\n  ]\r\n}\r\n',
      `{\r\n  "crons": [\r\n    { "path": "/b", "schedule": "0 1 * * *" },\r\n    ${line}\r\n  ]\r\n}\r\n`,
    ],
  ])('adds an entry to %s', (_name, text, expected) => {
    expect(addCronEntries(text, [entry])).toBe(expected);
    expect(JSON.parse(expected).crons.at(-1)).toEqual(entry);
    expect(addCronEntries(expected, [entry])).toBe(expected);
  });
});

describe('parses', () => {
  it('knows TypeScript, and tells an edit that broke the file', async () => {
    expect(await parses('const a: string = 1;\nexport default await (a satisfies unknown);\n')).toBe(true);
    expect(await parses('export const queues = [a b];\n')).toBe(false);
  });
});

describe('maskSource', () => {
  it('blanks strings, templates, regular expressions and comments, and keeps offsets', () => {
    const source = ["a('{', `x$", '{{ y: `}` }}z`, /[/}]/g); // }\n/* ] */ b / c / d;'].join('');
    const masked = maskSource(source);
    expect(masked).toHaveLength(source.length);
    expect(masked.replace(/\s+/g, ' ')).toBe("a(' ', ` `, g); b / c / d;");
  });
});

describe('a tsconfig with comments', () => {
  it('becomes JSON', () => {
    const text = '{\n  // a\n  "paths": { "@/*": ["./*",], /* b */ "c": "d//e" },\n}';
    expect(JSON.parse(withoutJsonComments(text))).toEqual({ paths: { '@/*': ['./*'], c: 'd//e' } });
  });
});
