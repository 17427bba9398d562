import { existsSync } from 'node:fs';
import { beforeEach, expect, it, vi } from 'vitest';
import QueueLayout from '../../../../app/(dashboard)/queues/[queue]/layout.tsx';
import { getServices } from '../../../../lib/services/services.ts';
import { cookie } from '../../../support/api-server.ts';
import { servedDatabase } from '../../../support/fixtures.ts';
import { setPageHeaders } from '../../../support/page-headers.ts';

const database = servedDatabase({}, { own: true });

vi.mock('next/headers', async () => (await import('../../../support/page-headers.ts')).nextHeaders);
vi.mock('next/navigation', async (original) =>
  (await import('../../../support/page-headers.ts')).nextNavigation(original),
);

beforeEach(() => setPageHeaders({ ...cookie('Mira'), host: 'app.test' }));

const open = (queue: string) => QueueLayout({ params: Promise.resolve({ queue }), children: 'the page' });

it('a queue that does not exist is not found, before any part of its page is sent', async () => {
  await expect(open('gone')).rejects.toMatchObject({ digest: 'NEXT_HTTP_ERROR_FALLBACK;404' });
  expect(await open('dm_queue')).toBe('the page');
  await database.sql(
    `create table public.reminders (id bigint generated always as identity primary key, due_at timestamptz)`,
  );
  await database.sql(`select punctual.add_queue('reminders', 'public.reminders', 'due_at', 'at-least-once')`);
  // The figures are a second old at most.
  (await getServices()).stats.forget();
  expect(await open('reminders')).toBe('the page');
});

it('no outline of a page is sent before, with which the answer would be 200', () => {
  expect(existsSync('app/(dashboard)/loading.tsx')).toBe(false);
  expect(existsSync('app/(dashboard)/queues/loading.tsx')).toBe(false);
});
