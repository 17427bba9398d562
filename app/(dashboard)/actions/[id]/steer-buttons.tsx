import { ActForm } from '@/components/acts/act-form.tsx';
import { steerAct } from '../../acts/actions.ts';

interface SteerButtonsProps {
  id: string;
  /** What the buttons say; null leaves one out. */
  stop: string | null;
  proceed: string | null;
}

/** Draws the buttons that continue or stop an action. */
export function SteerButtons({ id, stop, proceed }: SteerButtonsProps) {
  return (
    <div className="flex flex-wrap gap-2">
      {proceed && <ActForm act={steerAct.bind(null, id, 'continue')} submit={proceed} isPrimary />}
      {stop && <ActForm act={steerAct.bind(null, id, 'stop')} submit={stop} />}
    </div>
  );
}
