import { readFileSync } from 'node:fs';

/** The versions that this repository is tested with. */
const versions = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/**
 * Returns the files of an app as create-next-app makes it, with Punctual's tarball among its dependencies and a table of its own. `hasCron`: it also
 * has a cron route and a vercel.json.
 */
export function bareApp({
  tarball,
  isInSource,
  hasCron,
}: {
  tarball: string;
  isInSource: boolean;
  hasCron: boolean;
}): Record<string, string> {
  const source = isInSource ? 'src/' : '';
  const { dependencies, devDependencies } = versions;
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'package.json': json({
      name: 'bare-app',
      version: '0.1.0',
      private: true,
      scripts: { dev: 'next dev', build: 'next build', start: 'next start' },
      dependencies: {
        next: dependencies.next,
        punctual: `file:${tarball}`,
        react: dependencies.react,
        'react-dom': dependencies['react-dom'],
        zod: dependencies.zod,
      },
      devDependencies: {
        '@types/node': devDependencies['@types/node'],
        '@types/react': devDependencies['@types/react'],
        '@types/react-dom': devDependencies['@types/react-dom'],
        typescript: devDependencies.typescript,
      },
    }),
    'tsconfig.json': json({
      compilerOptions: {
        target: 'ES2017',
        lib: ['dom', 'dom.iterable', 'esnext'],
        allowJs: true,
        skipLibCheck: true,
        strict: true,
        noEmit: true,
        esModuleInterop: true,
        module: 'esnext',
        moduleResolution: 'bundler',
        resolveJsonModule: true,
        isolatedModules: true,
        jsx: 'react-jsx',
        incremental: true,
        plugins: [{ name: 'next' }],
        paths: { '@/*': [`./${source}*`] },
      },
      include: ['next-env.d.ts', '**/*.ts', '**/*.tsx', '.next/types/**/*.ts', '.next/dev/types/**/*.ts'],
      exclude: ['node_modules'],
    }),
    'next.config.ts': `import type { NextConfig } from "next";

const nextConfig: NextConfig = {
  /* config options here */
};

export default nextConfig;
`,
    '.gitignore': '/node_modules\n/.next/\n.env*\n*.tsbuildinfo\nnext-env.d.ts\n',
    [`${source}app/layout.tsx`]: `import type { Metadata } from "next";
import "./globals.css";

export const metadata: Metadata = { title: "Bare app" };

export default function RootLayout({ children }: Readonly<{ children: React.ReactNode }>) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
`,
    [`${source}app/globals.css`]: 'body {\n  margin: 0;\n}\n',
    [`${source}app/page.tsx`]: 'export default function Home() {\n  return <h1>Bare app</h1>;\n}\n',
    'supabase/migrations/20250101000000_reminders.sql': `create table public.reminders (
  id bigint generated always as identity primary key,
  email text not null,
  remind_at timestamptz,
  created_at timestamptz not null default now()
);
`,
    ...(hasCron && {
      'vercel.json': json({ crons: [{ path: '/api/cron/cleanup', schedule: '*/10 * * * *' }] }),
      [`${source}app/api/cron/cleanup/route.ts`]:
        'export async function GET() {\n  return Response.json({ cleaned: true });\n}\n',
    }),
  };
}
