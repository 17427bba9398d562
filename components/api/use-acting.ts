import { useState } from 'react';

/** One act of a person's at a time: whether it is under way, and what came of the last one that failed. */
export function useActing() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');

  async function act(doing: () => Promise<void>): Promise<void> {
    // Not by disabling the buttons: the one that was pressed would lose the focus.
    if (busy) return;
    setBusy(true);
    setFailure('');
    try {
      await doing();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  }
  return { busy, failure, act };
}
