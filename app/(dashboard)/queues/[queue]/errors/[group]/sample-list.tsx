import Link from 'next/link';
import { accountHref, LINK, queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { ErrorGroupWithSamples } from '@/lib/store/story/error-group.ts';

interface SampleListProps {
  queue: string;
  samples: ErrorGroupWithSamples['samples'];
}

/** Draws the latest rows with an error, and what the provider answered. */
export function SampleList({ queue, samples }: SampleListProps) {
  return (
    <Section id="samples" heading="The latest rows with this error">
      {samples.length === 0 && <p className="text-muted">Retention has deleted their history.</p>}
      <ul className="-my-3 divide-y divide-line">
        {samples.map(({ id, at, account, code, text, answer }) => (
          <li key={id} className="py-3">
            <p>
              <Link
                href={queueHref(queue, `/rows/${encodeURIComponent(id)}`)}
                prefetch={false}
                className={`font-medium ${LINK}`}
              >
                Row {id}
              </Link>
              <span className="text-muted">
                {account && (
                  <>
                    {' of '}
                    <Link
                      href={accountHref(account.id)}
                      prefetch={false}
                      className="underline decoration-line-strong underline-offset-4"
                    >
                      {account.name}
                    </Link>
                  </>
                )}
                , <RelativeTime at={at} />
                {code && ` · ${code}`}
              </span>
            </p>
            <p className="wrap-anywhere first-letter:uppercase">{text}</p>
            {answer && (
              <pre className="mt-2 rounded-lg bg-sunken p-3 font-mono text-xs leading-relaxed whitespace-pre-wrap wrap-anywhere">
                <span className="sr-only">The provider’s answer: </span>
                {answer}
              </pre>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}
