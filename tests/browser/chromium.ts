import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Starts the installed Chromium without a window. */
export function launch(): Promise<Browser> {
  const places = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);
  const executablePath = [process.env.CHROMIUM_PATH, ...places].find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('Chromium is missing: npm run stack:install, or set CHROMIUM_PATH');
  const quiet = ['first-run', 'sandbox'].map((what) => `--no-${what}`);
  const off = ['gpu', 'quic', 'background-networking', 'component-update', 'sync'].map(
    (what) => `--disable-${what}`,
  );
  return chromium.launch({ executablePath, args: [...quiet, ...off], timeout: 180_000 });
}
