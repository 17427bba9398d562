import { Suspense } from 'react';
import { queueHref } from '@/components/link.ts';
import { punctual } from '@/punctual.ts';
import { readOpenNeeds } from '../dal/needs.ts';
import { readQueues } from '../dal/queues.ts';
import { railEntries } from './rail-entries.ts';
import { RailLink } from './rail-link.tsx';

/** Draws the rail: on the left of a wide screen, at the bottom of a narrow one. */
export function Rail() {
  return (
    <nav aria-label="Pages" className="rail">
      <ul>
        {railEntries.map(({ title, href, hasQueues }) => (
          <li key={href}>
            <RailLink href={href}>
              {title}
              <Suspense fallback={null}>{href === '/' ? <Count /> : <Mark page={href} />}</Suspense>
            </RailLink>
            {hasQueues && (
              <ul className="max-lg:hidden">
                <Suspense fallback={<QueueLinks names={punctual.queues.map(({ name }) => name).sort()} />}>
                  <RegisteredQueues />
                </Suspense>
              </ul>
            )}
          </li>
        ))}
      </ul>
    </nav>
  );
}

async function RegisteredQueues() {
  const stats = await readQueues().catch(() => null);
  return (
    <QueueLinks
      names={stats?.queues.map(({ name }) => name) ?? punctual.queues.map(({ name }) => name).sort()}
      isRead
    />
  );
}

function QueueLinks({ names, isRead = false }: { names: string[]; isRead?: boolean }) {
  return names.map((name) => (
    <li key={name}>
      <RailLink href={queueHref(name)} isPart>
        <span className="truncate">{name}</span>
        {isRead && <Mark page={queueHref(name)} />}
      </RailLink>
    </li>
  ));
}

/** Draws how many lines of Today wait for a person. */
async function Count() {
  const needs = (await readOpenNeeds().catch(() => [])).filter(({ tone }) => tone !== 'wait');
  if (needs.length === 0) return null;
  const isBad = needs.some(({ tone }) => tone === 'bad');
  return (
    <span
      className={`rounded-full px-1.5 text-xs font-semibold lg:ml-auto ${isBad ? 'bg-bad-tint text-bad' : 'bg-warn-tint text-warn'}`}
    >
      {needs.length}
      <span className="sr-only"> {needs.length === 1 ? 'needs' : 'need'} you</span>
    </span>
  );
}

/** Draws a red mark if something is wrong on a page. */
async function Mark({ page }: { page: string }) {
  const needs = await readOpenNeeds().catch(() => []);
  if (!needs.some((need) => need.tone === 'bad' && need.page === page)) return null;
  return (
    <span className="lg:ml-auto">
      <span aria-hidden="true" className="block size-2 rounded-full bg-bad-bar" />
      <span className="sr-only">, something is wrong</span>
    </span>
  );
}
