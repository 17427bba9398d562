/** The classes of every button except the one that confirms. */
export const SECONDARY_BUTTON =
  'min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken';

/** The classes of the button that confirms. */
export const PRIMARY_BUTTON = 'min-h-9 cursor-pointer rounded-md bg-accent px-3 font-medium text-on-accent';

interface ConfirmButtonsProps {
  /** Answers the question above the buttons: "Yes, stop it". */
  confirmLabel: string;
  onConfirm: () => void;
  onCancel: () => void;
}

/** Draws the two answers to the question above them, in place of the pressed button. */
export function ConfirmButtons({ confirmLabel, onConfirm, onCancel }: ConfirmButtonsProps) {
  return (
    <>
      <button type="button" className={PRIMARY_BUTTON} onClick={onConfirm}>
        {confirmLabel}
      </button>
      <button
        type="button"
        // biome-ignore lint/a11y/noAutofocus: the pressed button is gone, and this one does no harm.
        autoFocus
        className={SECONDARY_BUTTON}
        onClick={onCancel}
      >
        Go back
      </button>
    </>
  );
}
