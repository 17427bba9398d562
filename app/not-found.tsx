import Link from 'next/link';
import { connection } from 'next/server';
import { CenteredCard } from '@/components/centered-card';

export const metadata = { title: 'Not found' };

export default async function NotFound() {
  // What is built ahead bears no nonce for its scripts.
  await connection();
  return (
    <CenteredCard heading="There is nothing here">
      <p className="text-muted">The address names no page of this app.</p>
      <p>
        <Link href="/" className="font-medium text-accent underline underline-offset-4">
          To the dashboard
        </Link>
      </p>
    </CenteredCard>
  );
}
