import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { PageHeader } from './shell/page-header.tsx';

/** Says that nothing has this address. */
export default function NotFound() {
  return (
    <>
      <PageHeader title="Not found" />
      <p>
        Nothing has this address, or retention has deleted it.{' '}
        <Link href="/" className={LINK}>
          Go to Today
        </Link>
      </p>
    </>
  );
}
