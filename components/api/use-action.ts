import { useState } from 'react';

/** Runs one action of a person at a time. `failure` is the message of the last one if it failed, or empty. */
export function useAction() {
  const [isRunning, setIsRunning] = useState(false);
  const [failure, setFailure] = useState('');

  async function run(action: () => Promise<void>): Promise<void> {
    // The buttons stay enabled, because disabling the pressed one would take its focus.
    if (isRunning) return;
    setIsRunning(true);
    setFailure('');
    try {
      await action();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    setIsRunning(false);
  }
  return { isRunning, failure, run };
}
