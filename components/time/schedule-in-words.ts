/** Says a simple cron expression in words: `every minute`, `every 5 min`, `daily at 02:23 UTC`. Returns any other one unchanged. */
export function scheduleInWords(schedule: string): string {
  const fields = schedule.trim().split(/\s+/);
  const [seconds = '', minutes = '', hours = '', ...days] = fields.length === 6 ? fields : ['0', ...fields];
  if (days.join(' ') !== '* * *') return schedule;
  if (hours === '*') {
    if (minutes === '*')
      return every(seconds, 'second', 's') ?? (seconds === '0' ? 'every minute' : schedule);
    if (seconds !== '0') return schedule;
    if (isNumber(minutes)) return `every hour at :${minutes.padStart(2, '0')}`;
    return every(minutes, 'minute', 'min') ?? schedule;
  }
  if (seconds !== '0' || !isNumber(minutes)) return schedule;
  if (isNumber(hours)) return `daily at ${hours.padStart(2, '0')}:${minutes.padStart(2, '0')} UTC`;
  const step = stepOf(hours);
  return step !== null && 24 % step === 0 && minutes === '0' ? `every ${step} h` : schedule;
}

/** Returns null for a step that does not divide 60: it starts again with each minute or hour, so its gaps differ. */
function every(field: string, singular: string, plural: string): string | null {
  if (field === '*') return `every ${singular}`;
  const step = stepOf(field);
  if (step === null || 60 % step !== 0) return null;
  return step === 1 ? `every ${singular}` : `every ${step} ${plural}`;
}

function stepOf(field: string): number | null {
  const step = Number(/^\*\/(\d{1,2})$/.exec(field)?.[1] ?? 0);
  return step > 0 ? step : null;
}

const isNumber = (field: string) => /^\d{1,2}$/.test(field);
