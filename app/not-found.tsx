import Link from 'next/link';
import { connection } from 'next/server';
import { CenteredCard } from '@/components/centered-card.tsx';

export const metadata = { title: 'Not found' };

export default async function NotFound() {
  // A prerendered page has no nonce for its scripts.
  await connection();
  return (
    <CenteredCard heading="Page not found">
      <p className="text-muted">No page has this address.</p>
      <p>
        <Link href="/" className="font-medium text-accent underline underline-offset-4">
          Go to the dashboard
        </Link>
      </p>
    </CenteredCard>
  );
}
