import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { announce } from './announce.ts';

/** Runs one act of a person at a time. `failure` is the message of the last one if it failed, or empty. */
export function useAction() {
  const router = useRouter();
  const [isRunning, setIsRunning] = useState(false);
  const [failure, setFailure] = useState('');

  /** Runs an act that returns what it did, says that, and shows the page anew. Returns whether it succeeded. */
  async function run(act: () => Promise<string>): Promise<boolean> {
    // The buttons stay enabled, because disabling the pressed one would take its focus.
    if (isRunning) return false;
    setIsRunning(true);
    setFailure('');
    try {
      announce(await act());
      router.refresh();
      return true;
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      setIsRunning(false);
    }
  }
  return { isRunning, failure, run };
}
