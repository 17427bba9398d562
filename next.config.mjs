/** @type {import('next').NextConfig} */
const config = {
  // PGlite loads its WebAssembly from its own folder and must not be bundled.
  serverExternalPackages: ['@electric-sql/pglite'],
  poweredByHeader: false,
  // `next dev` allows localhost by itself.
  allowedDevOrigins: ['127.0.0.1'],
};

const headersOf = (isDevelopment) => [
  {
    source: '/:path*',
    headers: [
      { key: 'X-Content-Type-Options', value: 'nosniff' },
      { key: 'X-Frame-Options', value: 'DENY' },
      // Under `no-referrer` a form would send `Origin: null`, and Next would refuse its act.
      { key: 'Referrer-Policy', value: 'same-origin' },
      { key: 'Permissions-Policy', value: 'camera=(), microphone=(), geolocation=()' },
      // Browsers apply it only over https. In development it would block http for everything on localhost.
      ...(isDevelopment ? [] : [{ key: 'Strict-Transport-Security', value: 'max-age=31536000' }]),
    ],
  },
  // proxy.ts sets the policy of pages.
  {
    source: '/api/:path*',
    headers: [{ key: 'Content-Security-Policy', value: "default-src 'none'; frame-ancestors 'none'" }],
  },
];

export default function configure(phase) {
  return { ...config, headers: async () => headersOf(phase === 'phase-development-server') };
}
