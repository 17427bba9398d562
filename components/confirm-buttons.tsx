/** The look of every button but the one that confirms. */
export const PLAIN_BUTTON =
  'min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken';

interface ConfirmButtonsProps {
  /** What is done, as the answer to a question: "Yes, stop it". */
  yes: string;
  onYes: () => void;
  onLeave: () => void;
}

/** The answers to a question that stands above them, in the place of the button that was pressed. */
export function ConfirmButtons({ yes, onYes, onLeave }: ConfirmButtonsProps) {
  return (
    <>
      <button
        type="button"
        className="min-h-9 cursor-pointer rounded-md bg-accent px-3 font-medium text-on-accent"
        onClick={onYes}
      >
        {yes}
      </button>
      <button
        type="button"
        // biome-ignore lint/a11y/noAutofocus: the button that was pressed has gone, and this is the harmless one.
        autoFocus
        className={PLAIN_BUTTON}
        onClick={onLeave}
      >
        Leave it
      </button>
    </>
  );
}
