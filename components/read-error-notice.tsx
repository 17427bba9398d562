import { Notice } from './notice.tsx';

/** Says why a part of a page has no figures. */
export function ReadErrorNotice({ message }: { message: string }) {
  return (
    <Notice tone="warn" heading="This part could not be read">
      <p className="first-letter:uppercase">{message}</p>
      <p>Correct the cause, then reload the page. The other parts are current.</p>
    </Notice>
  );
}
