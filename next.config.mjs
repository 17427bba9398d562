import { listJobs, watchJobs } from './scripts/list-jobs.mjs';

/** @type {import('next').NextConfig} */
const config = {
  // PGlite loads its WebAssembly from its own folder and must not be bundled.
  serverExternalPackages: ['@electric-sql/pglite'],
  // `npm run types` checks them, tests included: a slip in a test must not keep the app from being built.
  typescript: { ignoreBuildErrors: true },
  poweredByHeader: false,
  // `next dev` lets localhost in by itself.
  allowedDevOrigins: ['127.0.0.1'],
};

const headersOf = (isDevelopment) => [
  {
    source: '/:path*',
    headers: [
      { key: 'X-Content-Type-Options', value: 'nosniff' },
      { key: 'X-Frame-Options', value: 'DENY' },
      { key: 'Referrer-Policy', value: 'no-referrer' },
      { key: 'Permissions-Policy', value: 'camera=(), microphone=(), geolocation=()' },
      // Browsers heed it over https only. In development it would close http to all that runs on localhost.
      ...(isDevelopment ? [] : [{ key: 'Strict-Transport-Security', value: 'max-age=31536000' }]),
    ],
  },
  // Pages have theirs from proxy.ts.
  {
    source: '/api/:path*',
    headers: [{ key: 'Content-Security-Policy', value: "default-src 'none'; frame-ancestors 'none'" }],
  },
];

export default function configure(phase) {
  // Adding a job is adding a file. A server that only serves what was built has none of its folders.
  if (phase !== 'phase-production-server') listJobs();
  if (phase === 'phase-development-server') watchJobs();
  return { ...config, headers: async () => headersOf(phase === 'phase-development-server') };
}
