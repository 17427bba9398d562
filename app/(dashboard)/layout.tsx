import { Suspense } from 'react';
import { BrandMark } from '@/components/brand-mark.tsx';
import { ServerNow } from '@/components/time/server-now.tsx';
import { readFirstPulse } from './dal/figures.ts';
import { readVisitor } from './dal/visitor.ts';
import { Search } from './search/search.tsx';
import { Pulse } from './shell/pulse.tsx';
import { Rail } from './shell/rail.tsx';
import { StatusRegion } from './shell/status-region.tsx';

/** Draws what every page has: the rail, who is signed in, how fresh the figures are, and one status region. */
export default async function DashboardLayout({ children }: LayoutProps<'/'>) {
  const { name, isSignedIn } = await readVisitor();
  const pulse = await readFirstPulse();
  return (
    <ServerNow readAt={new Date().toISOString()}>
      <a href="#main" className="skip-link">
        Skip to the content
      </a>
      <header className="sticky top-0 z-20 flex h-12 items-center gap-4 border-b border-line bg-surface px-4 sm:px-5">
        <span className="flex shrink-0 max-sm:hidden">
          <BrandMark />
        </span>
        <Suspense fallback={<span className="h-9 min-w-0 flex-1 sm:max-w-sm" />}>
          <Search />
        </Suspense>
        <div className="ml-auto flex shrink-0 items-center gap-4">
          <Pulse seen={pulse && JSON.stringify(pulse)} />
          {isSignedIn && <p className="max-w-40 truncate font-medium max-sm:hidden">{name}</p>}
          {isSignedIn && (
            <form action="/api/session/end" method="post">
              <button type="submit" className="min-h-9 cursor-pointer text-muted hover:text-ink">
                Sign out
              </button>
            </form>
          )}
        </div>
      </header>
      <div className="lg:grid lg:grid-cols-[13rem_minmax(0,1fr)]">
        <Rail />
        <main id="main" tabIndex={-1} className="min-w-0 px-4 pt-5 pb-28 outline-none sm:px-6 lg:pb-10">
          <div className="mx-auto grid max-w-6xl grid-cols-[minmax(0,1fr)] gap-5">{children}</div>
        </main>
      </div>
      <StatusRegion />
    </ServerNow>
  );
}
