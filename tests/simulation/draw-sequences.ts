import type { RandomStream } from './random.ts';
import {
  chatOf,
  day,
  drawHours,
  hour,
  type PaceSettings,
  type SimulatedAccount,
  type Span,
  second,
  zones,
} from './world.ts';

export interface Template {
  name: string;
  language: string;
  parameters: string[];
}

/** A step as `create_sequence` takes it. */
export interface Step {
  kind: 'message' | 'question';
  delay_seconds: number;
  hours: PaceSettings['hours'];
  body: string;
  template: Template | null;
  on_reply: 'stop' | 'continue';
  reminder: { after_seconds: number; body: string; template: Template | null } | null;
  no_reply: { after_seconds: number; action: 'continue' | 'stop' } | null;
}

export interface DrawnSequence {
  name: string;
  channel: 'linkedin' | 'whatsapp';
  /** The first version and its edits, each in force from `at` on. */
  versions: { at: number; timeZone: string | null; steps: Step[] }[];
}

/** A person to enrol. */
export interface DrawnPerson {
  account: SimulatedAccount;
  chatId: string | null;
  recipient: string | null;
  /** `name` is unique, so each text belongs to one person and one step. */
  variables: Record<string, string>;
  timeZone: string | null;
  startAt: number | null;
  priority: number;
}

/** One call of `enrol_people`. */
export interface DrawnBatch {
  at: number;
  sequence: DrawnSequence;
  people: DrawnPerson[];
  /** Enrols people again whose enrolment is over. */
  again: boolean;
  /** The call is repeated, as by a caller whose response was lost. */
  repeats: boolean;
}

/** Draws sequences, their edits, and the people in them. One world in seven has none. */
export function drawSequences(
  stream: (name: string) => RandomStream,
  accounts: SimulatedAccount[],
  span: Span,
): { sequences: DrawnSequence[]; batches: DrawnBatch[] } {
  const random = stream('sequences');
  if (random.chance(1 / 7)) return { sequences: [], batches: [] };
  const sequences = Array.from({ length: random.integer(2, 4) }, (_, n) => {
    const channel = random.chance(0.55) ? 'linkedin' : 'whatsapp';
    const name = `sequence ${n}`;
    const edits = Array.from({ length: random.pick([0, 1, 1, 2]) }, () =>
      Math.round(random.between(span.startAt, span.quietAt)),
    );
    const versions = [span.startAt, ...edits.sort((a, b) => a - b)].map((at, version) => ({
      at,
      timeZone: random.chance(0.5) ? random.pick(zones) : null,
      steps: drawSteps(random, `${name}.${version + 1}`, channel, span),
    }));
    return { name, channel, versions } satisfies DrawnSequence;
  });
  return { sequences, batches: drawBatches(stream('enrolments'), accounts, sequences, span) };
}

function drawSteps(
  random: RandomStream,
  version: string,
  channel: DrawnSequence['channel'],
  { startAt, quietAt }: Span,
): Step[] {
  // Short enough that people reach the end of a sequence within the run.
  const maxDelay = Math.min(12 * hour, (quietAt - startAt) / 8) / second;
  const template = (text: string): Template | null =>
    channel === 'whatsapp' && random.chance(0.85)
      ? { name: 'greeting', language: 'en', parameters: ['{{name}}', text] }
      : null;
  return Array.from({ length: random.pick([1, 2, 3, 3, 4, 4, 5]) }, (_, n) => {
    const isQuestion = random.chance(0.5);
    const text = `step ${n + 1} of ${version}`;
    const reminderAfter = Math.round(random.magnitude(300, maxDelay));
    const hasReminder = isQuestion && random.chance(0.6);
    return {
      kind: isQuestion ? 'question' : 'message',
      delay_seconds: random.chance(0.25) ? 0 : Math.round(random.magnitude(60, maxDelay)),
      hours: random.chance(0.45) ? drawHours(random) : null,
      body: `${random.pick(['{{name}}', '{{ name }}'])}, ${text}`,
      template: template(text),
      on_reply: random.chance(isQuestion ? 0.3 : 0.5) ? 'stop' : 'continue',
      reminder: hasReminder
        ? {
            after_seconds: reminderAfter,
            body: `{{name}}, reminder of ${text}`,
            template: template(`reminder of ${text}`),
          }
        : null,
      no_reply:
        isQuestion && random.chance(0.7)
          ? {
              after_seconds: (hasReminder ? reminderAfter : 0) + Math.round(random.magnitude(60, maxDelay)),
              action: random.chance(0.75) ? 'continue' : 'stop',
            }
          : null,
    };
  });
}

function drawBatches(
  random: RandomStream,
  accounts: SimulatedAccount[],
  sequences: DrawnSequence[],
  { startAt, quietAt }: Span,
): DrawnBatch[] {
  const batches: DrawnBatch[] = [];
  const taken = new Set<string>();
  const count = Math.round(random.between(4, 9) * ((quietAt - startAt) / day));
  let names = 0;
  for (let n = 0; n < count; n++) {
    // Mostly early, so that enrolments get far.
    const at = Math.round(startAt + (quietAt - startAt) * 0.75 * random.next() ** 1.5);
    const sequence = random.pick(sequences);
    const able = accounts.filter(
      ({ provider }) =>
        (provider === 'unipile') === (sequence.channel === 'linkedin') ||
        (provider === 'unipile' && random.chance(0.15)),
    );
    const size = random.chance(0.1) ? random.integer(8, 15) : random.pick([1, 1, 2, 3]);
    const people: DrawnPerson[] = [];
    for (let i = 0; i < size && able.length > 0; i++) {
      const account = random.pick(able);
      const number = names++;
      const addressee = drawAddressee(random, account, sequence.channel, number);
      // A person is in a sequence only once.
      const key = `${sequence.name} ${addressee.recipient ?? addressee.chatId}`;
      if (taken.has(key)) continue;
      taken.add(key);
      people.push({
        account,
        ...addressee,
        variables: drawVariables(random, number),
        timeZone: random.chance(0.5) ? random.pick(zones) : null,
        startAt: random.chance(0.2) ? Math.round(at + random.between(-1, 6) * hour) : null,
        priority: random.chance(0.8) ? 1 : random.integer(0, 3),
      });
    }
    if (people.length === 0) continue;
    batches.push({ at, sequence, people, again: false, repeats: random.chance(0.25) });
    const [person] = people;
    // Also enrols the person in another sequence, or in the same one again.
    if (person && random.chance(0.3)) {
      const other = random.pick(sequences);
      const again = other === sequence;
      if (other.channel !== sequence.channel) continue;
      const key = `${other.name} ${person.recipient ?? person.chatId}`;
      if (!again && taken.has(key)) continue;
      taken.add(key);
      const later = Math.round(at + random.magnitude(0.1, (0.2 * (quietAt - startAt)) / hour) * hour);
      const anew = { ...person, variables: drawVariables(random, names++), startAt: null };
      batches.push({ at: later, sequence: other, people: [anew], again, repeats: false });
    }
  }
  return batches.sort((a, b) => a.at - b.at);
}

/** Draws a new addressee, or one who also gets single messages. */
function drawAddressee(
  random: RandomStream,
  account: SimulatedAccount,
  channel: DrawnSequence['channel'],
  n: number,
): Pick<DrawnPerson, 'chatId' | 'recipient'> {
  const isShared = random.chance(0.2);
  if (channel === 'whatsapp') {
    const recipient = isShared ? `+49151000${random.integer(1, 8)}` : `+49152${String(n).padStart(5, '0')}`;
    return account.provider === 'unipile' && random.chance(0.3)
      ? { chatId: chatOf(account.provider_account_id, recipient), recipient: null }
      : { chatId: null, recipient };
  }
  const person = isShared ? `person-${random.integer(1, 6)}` : `enrolee-${n}`;
  const chatId = chatOf(account.provider_account_id, person);
  return isShared || random.chance(0.4) ? { chatId, recipient: null } : { chatId: null, recipient: person };
}

/** Draws a person's variables. Braces in a value are plain text. */
function drawVariables(random: RandomStream, n: number): Record<string, string> {
  return { name: random.chance(0.05) ? `Q${n} {{name}}` : `Q${n}` };
}
