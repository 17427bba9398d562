import Link from 'next/link';
import type { ReactNode } from 'react';

interface PageHeaderProps {
  title: string;
  /** The pages above it, the outermost first. Today is above all. */
  above?: { title: string; href: string }[];
  /** Stands beside the title. */
  aside?: ReactNode;
}

/** Draws a page's title and its place below other pages. */
export function PageHeader({ title, above, aside }: PageHeaderProps) {
  const path = above && [{ title: 'Today', href: '/' }, ...above];
  return (
    <header>
      {path && (
        <nav aria-label="Breadcrumb">
          <ol className="flex flex-wrap text-muted">
            {path.map(({ title, href }) => (
              <li key={href} className="after:mx-1.5 after:content-['/']">
                <Link href={href} prefetch={false} className="hover:text-ink hover:underline">
                  {title}
                </Link>
              </li>
            ))}
          </ol>
        </nav>
      )}
      <div className="flex flex-wrap items-baseline gap-x-4 gap-y-1">
        <h1 className="text-xl font-semibold tracking-tight wrap-anywhere">{title}</h1>
        {aside}
      </div>
    </header>
  );
}
