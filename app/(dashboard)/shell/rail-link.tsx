'use client';

import Link from 'next/link';
import { usePathname } from 'next/navigation';
import type { ReactNode } from 'react';

interface RailLinkProps {
  href: string;
  isPart?: boolean;
  children: ReactNode;
}

/** Links to a page of the rail, and marks the page that is shown, also from the pages below it. */
export function RailLink({ href, isPart = false, children }: RailLinkProps) {
  const pathname = usePathname();
  const isHere = href === '/' ? pathname === '/' : pathname === href || pathname.startsWith(`${href}/`);
  return (
    <Link
      href={href}
      prefetch={false}
      aria-current={isHere ? 'page' : undefined}
      className={`rail-link ${isPart ? 'lg:pl-6' : ''}`}
    >
      {children}
    </Link>
  );
}
