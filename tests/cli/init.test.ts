import { describe, expect, it } from 'vitest';
import { init } from '@/lib/cli/init.ts';
import { readPackageMigrations } from '@/lib/cli/project/package-files.ts';
import { makeApp, readIn, readTree, terminalIn } from './cli-bench.ts';

const route = 'app/api/punctual/[[...path]]/route.ts';

describe('npx punctual init', () => {
  it('writes the migrations, punctual.ts, the route, a daily cron, the example and the secret', async () => {
    const folder = makeApp();
    const { terminal, printed } = terminalIn(folder);
    expect(await init(['--yes'], terminal)).toBe(0);
    const migrations = readPackageMigrations().map(({ file }) => `supabase/migrations/${file}`);
    expect(Object.keys(readTree(folder))).toEqual(
      [
        '.env.example',
        '.env.local',
        '.gitignore',
        route,
        'app/page.tsx',
        'next.config.ts',
        'package.json',
        'punctual.ts',
        ...migrations,
        'tsconfig.json',
        'vercel.json',
      ].sort(),
    );
    expect(migrations.every((file) => /\/\d{14}_punctual_/.test(file))).toBe(true);
    expect(readIn(folder, route)).toContain("import { punctual } from '@/punctual';");
    expect(JSON.parse(readIn(folder, 'vercel.json')).crons).toEqual([
      { path: '/api/punctual/cron/process-scheduled', schedule: '5 6 * * *' },
    ]);
    const local = readIn(folder, '.env.local');
    expect(local).toMatch(/^CRON_SECRET=[\w-]{43}$/m);
    expect(local).toMatch(/^STORE=embedded$/m);
    // The diff is for eyes and logs.
    const secret = /CRON_SECRET=(.+)/.exec(local)?.[1] ?? '-';
    expect(printed()).toContain('+CRON_SECRET=…');
    expect(printed()).not.toContain(secret);
  });

  it('changes nothing when it runs again, and says so', async () => {
    const folder = makeApp();
    await init(['--yes'], terminalIn(folder).terminal);
    const before = readTree(folder);
    const { terminal, printed } = terminalIn(folder);
    expect(await init([], terminal)).toBe(0);
    expect(readTree(folder)).toEqual(before);
    expect(printed()).toContain('Nothing to change');
  });

  it('writes nothing without a person or --yes, and nothing if the person declines', async () => {
    const folder = makeApp({ 'vercel.json': '{ "crons": [] }\n' });
    const before = readTree(folder);
    const alone = terminalIn(folder);
    expect(await init(['--plan', 'hobby'], alone.terminal)).toBe(2);
    expect(alone.printed()).toMatch(/\+\+\+ punctual\.ts[\s\S]*Pass --yes/);
    const declines = terminalIn(folder, { answers: ['n'] });
    expect(await init(['--plan', 'hobby'], declines.terminal)).toBe(1);
    expect(declines.asked).toEqual(['Write these changes? [Y/n]']);
    expect(readTree(folder)).toEqual(before);
  });

  it('finds src/app, and imports by a relative path where no alias leads to it', async () => {
    const folder = makeApp({ 'app/page.tsx': null, 'src/app/page.tsx': '', 'src/proxy.ts': '' });
    const { terminal, printed } = terminalIn(folder);
    expect(await init(['--yes'], terminal)).toBe(0);
    expect(readIn(folder, 'src/punctual.ts')).toContain('definePunctual');
    expect(readIn(folder, `src/${route}`)).toContain("import { punctual } from '../../../../punctual';");
    expect(printed()).toContain('src/proxy.ts runs before');
  });

  it('keeps the crons, keys and indentation of vercel.json', async () => {
    const text =
      '{\n    "regions": ["fra1"],\n    "crons": [\n        {\n            "path": "/api/cron",\n            "schedule": "0 1 * * *"\n        }\n    ]\n}\n';
    const folder = makeApp({ 'vercel.json': text });
    expect(await init(['--yes'], terminalIn(folder).terminal)).toBe(0);
    const entry =
      '        {\n            "path": "/api/punctual/cron/process-scheduled",\n            "schedule": "5 6 * * *"\n        }\n';
    expect(readIn(folder, 'vercel.json')).toBe(text.replace('        }\n    ]', `        },\n${entry}    ]`));
  });

  it('keeps a cron route and a schedule of the app, which show that the plan is Pro', async () => {
    const cron = 'app/api/cron/route.ts';
    const folder = makeApp({
      [cron]: '// mine',
      'vercel.json': '{"crons":[{"path":"/api/cron","schedule":"*/10 * * * *"}]}',
    });
    expect(await init(['--yes'], terminalIn(folder).terminal)).toBe(0);
    expect(readIn(folder, cron)).toBe('// mine');
    expect(JSON.parse(readIn(folder, 'vercel.json')).crons.map(({ path }: { path: string }) => path)).toEqual(
      [
        '/api/cron',
        '/api/punctual/cron/reconcile',
        '/api/punctual/cron/analytics',
        '/api/punctual/cron/prune',
      ],
    );
  });

  it('brings back no cron entry that the app removed, unless it names a plan', async () => {
    const vercel = '{ "crons": [{ "path": "/api/punctual/cron/reminders", "schedule": "* * * * *" }] }';
    const folder = makeApp({ 'vercel.json': vercel });
    await init(['--yes'], terminalIn(folder).terminal);
    expect(readIn(folder, 'vercel.json')).toBe(vercel);
    await init(['--yes', '--plan', 'pro'], terminalIn(folder).terminal);
    expect(JSON.parse(readIn(folder, 'vercel.json')).crons).toHaveLength(4);
  });

  it('finds a secret in any .env file of the app', async () => {
    const folder = makeApp({
      '.env': 'export CRON_SECRET=mine\n',
      '.env.development': 'DATABASE_URL=postgres://\n',
    });
    await init(['--yes'], terminalIn(folder).terminal);
    expect(Object.keys(readTree(folder))).not.toContain('.env.local');
  });

  it('writes JavaScript where there is no tsconfig, and prints what it cannot edit', async () => {
    const folder = makeApp({
      'tsconfig.json': null,
      'vercel.ts': 'export const config = {};\n',
      'next.config.mjs': 'export { config as default } from "./config.mjs";\n',
      'package.json': '{ "dependencies": { "next": "latest" } }',
      'pnpm-lock.yaml': '',
    });
    const { terminal, printed } = terminalIn(folder);
    expect(await init(['--yes'], terminal)).toBe(0);
    const files = Object.keys(readTree(folder));
    expect(files).toEqual(expect.arrayContaining(['punctual.js', 'app/api/punctual/[[...path]]/route.js']));
    expect(files).not.toContain('vercel.json');
    expect(printed()).toMatch(/vercel\.ts is code, so add these entries.*process-scheduled/);
    expect(printed()).toContain('next.config.mjs has a form that init does not edit');
    expect(printed()).toContain('zod is not among the dependencies. Run: pnpm add zod');
  });

  it('writes cron paths as basePath and trailingSlash have them', async () => {
    const config = "export default { basePath: '/shop', trailingSlash: true };\n";
    const folder = makeApp({ 'next.config.mjs': config });
    await init(['--yes'], terminalIn(folder).terminal);
    expect(readIn(folder, 'vercel.json')).toContain('"/shop/api/punctual/cron/process-scheduled/"');
  });

  it.each([
    ['{ "crons": [ }', 'vercel.json is not valid JSON'],
    ['{ "crons": {} }', 'vercel.json is invalid: crons'],
  ])('refuses the vercel.json %s and writes nothing', async (text, message) => {
    const folder = makeApp({ 'vercel.json': text });
    const before = readTree(folder);
    await expect(init(['--yes'], terminalIn(folder).terminal)).rejects.toThrow(message);
    expect(readTree(folder)).toEqual(before);
  });

  it('leaves the secrets and the database of the app alone', async () => {
    const local = 'SUPABASE_URL=https://project.example\nCRON_SECRET="mine"\n';
    const folder = makeApp({
      '.env.local': local,
      '.env.example': '# CRON_SECRET=\nOTHER=1\n',
      '.gitignore': '.env*\n',
    });
    const { terminal, printed } = terminalIn(folder);
    await init(['--yes'], terminal);
    expect(readIn(folder, '.env.local')).toBe(local);
    expect(readIn(folder, '.gitignore')).toBe('.env*\n\n# Punctual\n/.data/\n');
    const example = readIn(folder, '.env.example');
    expect(example.startsWith('# CRON_SECRET=\nOTHER=1\n\n# Punctual')).toBe(true);
    expect(example.match(/CRON_SECRET=/g)).toHaveLength(1);
    expect(printed()).not.toContain('mine');
  });

  it.each([
    [{ 'package.json': null }, 'There is no package.json here'],
    [{ 'package.json': '{}' }, 'does not depend on next'],
    [{ 'package.json': '{ "dependencies": { "next": "^15.5.0" } }' }, 'needs Next.js 16 or newer'],
    [{ 'punctual.ts': 'export const mine = 1;\n' }, 'punctual.ts exists and does not call definePunctual'],
    [{ [route]: 'export const GET = 1;\n' }, "is not Punctual's"],
  ])('says what to do in a folder that does not fit: %j', async (files, message) => {
    const folder = makeApp(files);
    const before = readTree(folder);
    await expect(init(['--yes'], terminalIn(folder).terminal)).rejects.toThrow(message);
    expect(readTree(folder)).toEqual(before);
  });
});
