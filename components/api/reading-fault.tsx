import { Notice } from '../notice';

/** Of a section that reads its figures apart from the others: why it has none, or only those of before. */
export function ReadingFault({ error }: { error: Error }) {
  return (
    <Notice tone="warn" heading="These could not be read just now">
      <p className="first-letter:uppercase">{error.message}</p>
    </Notice>
  );
}
