import { Notice } from '@/components/notice';
import { RelativeTime } from '@/components/time/relative-time';

interface StaleNoticeProps {
  /** Why the last reading failed. */
  failure: string;
  /** When the figures that are shown were read; null when there are none. */
  readAt: string | null;
}

export function StaleNotice({ failure, readAt }: StaleNoticeProps) {
  return (
    <Notice tone="warn" heading={readAt ? 'These figures are stale' : 'There are no figures yet'}>
      <p className="first-letter:uppercase">{failure}</p>
      <p>
        {readAt && (
          <>
            What stands below was read <RelativeTime at={readAt} />.{' '}
          </>
        )}
        This page tries again every 2&nbsp;s.
      </p>
    </Notice>
  );
}
