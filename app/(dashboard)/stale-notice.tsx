import { Notice } from '@/components/notice.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';

interface StaleNoticeProps {
  /** Why the last read failed. */
  failure: string;
  /** When the figures below were read; null if there are none. */
  readAt: string | null;
}

/** Says that the figures are old or missing, and why. */
export function StaleNotice({ failure, readAt }: StaleNoticeProps) {
  return (
    <Notice tone="warn" heading={readAt ? 'These figures are stale' : 'There are no figures yet'}>
      <p className="first-letter:uppercase">{failure}</p>
      <p>
        {readAt && (
          <>
            The figures below were read <RelativeTime at={readAt} />.{' '}
          </>
        )}
        This page tries again every 2&nbsp;s.
      </p>
    </Notice>
  );
}
