import { Notice } from '../notice.tsx';

/** Says why a section could not read its figures. It has none then, or keeps its last ones. */
export function ReadErrorNotice({ error }: { error: Error }) {
  return (
    <Notice tone="warn" heading="These figures could not be read">
      <p className="first-letter:uppercase">{error.message}</p>
      <p>This section tries again every 2&nbsp;s.</p>
    </Notice>
  );
}
