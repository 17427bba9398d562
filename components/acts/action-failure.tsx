/** Says why an act failed. Draws nothing for an empty message. */
export function ActionFailure({ message }: { message: string }) {
  if (message === '') return null;
  return (
    <p role="alert" className="mt-2 wrap-anywhere text-bad first-letter:uppercase">
      {message}
    </p>
  );
}
