import { patienceOf } from '../../../lib/sandbox/people.ts';
import { account, type DemoAccount } from './demo-accounts.ts';
import { firstNameOf, personName } from './demo-texts.ts';

/** A body of `POST /api/sequences`. */
export interface DemoSequence {
  name: string;
  channel: 'linkedin' | 'whatsapp';
  steps: object[];
}

/** An entry of `POST /api/sequences/:id/enrolments`. */
export interface DemoPerson {
  account_id: string;
  recipient: string;
  variables: { first_name: string; ref: string };
  /** Sent before the demo's other messages, which fill the queue for a while. */
  priority: 0;
}

type SavedAccount = DemoAccount & { id: string };

/** The accounts that send the sequences and get the replies. */
export const sequenceAccounts: DemoAccount[] = [
  account('unipile', 'li-elena-rossi', 'Elena Rossi', 'Europe/Rome'),
  account('unipile', 'li-samir-haddad', 'Samir Haddad', 'Africa/Casablanca'),
  account('whatsapp_cloud', '105550002001', 'Sleep study, Dublin', 'Europe/Dublin'),
];

/** The shares of the sandbox's people who reply to every message, every second, and every third one. The rest never reply. */
export const peopleSeed = 1;
export const answerShares = [0.5, 0.25, 0.15];
/** Shorter than the time until a reminder, so that people who reply at once get none. */
export const answerAfterMs = [500, 2_500] as const;

/** How many people of each patience are enrolled. Patience is the number of messages before a reply; null is never. */
const linkedinMix: [patience: number | null, people: number][] = [
  [1, 3],
  [2, 3],
  [3, 1],
  [null, 5],
];
const whatsappMix: [patience: number | null, people: number][] = [
  [1, 4],
  [2, 2],
  // One who skips the first question, and one who skips all.
  [3, 1],
  [null, 1],
];

/** Marks a step's text or template parameter, so that each message of each person has a text of its own. */
const mark = (step: string) => `(ref. {{ref}}-${step})`;

const notes = [
  'Hi {{first_name}}, your post on planning without meetings stayed with me. Shall I send you our notes on it?',
  '{{first_name}}, in case it got lost: our notes on planning without meetings are a page long. Shall I send them?',
  'Last word from me, {{first_name}}: the notes are yours whenever you ask for them. Have a good week!',
];

const messageSequence: DemoSequence = {
  name: 'Notes on planning (a day is 12 s)',
  channel: 'linkedin',
  steps: notes.map((body, index) => ({
    kind: 'message',
    delay_seconds: index === 0 ? 0 : 12,
    body: `${body} ${mark(`${index + 1}`)}`,
    on_reply: 'stop',
  })),
};

const questions = [
  'How did you sleep last night?',
  'When did you go to bed yesterday?',
  'Did you read anything on a screen in bed?',
  'How rested do you feel this morning?',
  'What would you change about your evenings?',
];

const questionSequence: DemoSequence = {
  name: 'Sleep study, five days (a day is 6 s)',
  channel: 'whatsapp',
  steps: questions.map((question, index) => {
    const day = index + 1;
    return {
      kind: 'question',
      delay_seconds: index === 0 ? 0 : 6,
      body: `Day ${day}, {{first_name}}: ${question} ${mark(`${day}`)}`,
      // WhatsApp allows only a template to people who have not written within 24 hours.
      template: template('study_question', `${question} ${mark(`${day}`)}`),
      reminder: {
        after_seconds: 5,
        body: `{{first_name}}, a word will do: ${question} ${mark(`${day}r`)}`,
        template: template('study_reminder', `${question} ${mark(`${day}r`)}`),
      },
      no_reply: { after_seconds: 16, action: 'continue' },
    };
  }),
};

function template(name: string, text: string) {
  return { name, language: 'en', parameters: ['{{first_name}}', text] };
}

/** Returns the demo's two sequences with their people. `runId` makes the people of each run different. */
export function demoSequences(
  accounts: SavedAccount[],
  runId: string,
): { sequence: DemoSequence; people: DemoPerson[] }[] {
  return [
    { sequence: messageSequence, people: peopleOf('unipile', linkedinMix) },
    { sequence: questionSequence, people: peopleOf('whatsapp_cloud', whatsappMix) },
  ];

  /** Returns the first people whose patience fits the mix. */
  function peopleOf(provider: DemoAccount['provider'], mix: [number | null, number][]): DemoPerson[] {
    const own = accounts.filter((one) => one.provider === provider);
    const left = new Map(mix);
    const people: DemoPerson[] = [];
    for (let number = 1; [...left.values()].some((wanted) => wanted > 0); number += 1) {
      const name = personName(number);
      const recipient = provider === 'unipile' ? handle(name, runId, number) : telephone(runId, number);
      const asSandbox = provider === 'unipile' ? 'unipile' : 'whatsapp-cloud';
      const patience = patienceOf(peopleSeed, { provider: asSandbox, recipient }, answerShares);
      const wanted = left.get(patience) ?? 0;
      if (wanted === 0) continue;
      left.set(patience, wanted - 1);
      people.push({
        account_id: (own[people.length % own.length] as SavedAccount).id,
        recipient,
        variables: {
          first_name: firstNameOf(name),
          ref: `${runId}-${provider === 'unipile' ? 'n' : 'q'}${number}`,
        },
        priority: 0,
      });
    }
    return people;
  }
}

const handle = (name: string, runId: string, number: number) =>
  `${name.toLowerCase().replaceAll(' ', '-')}-${runId}-n${number}`;

/** Returns a number with ten digits after the country code, which no network assigns. */
function telephone(runId: string, number: number): string {
  const run = [...runId].reduce((sum, digit) => (sum * 31 + digit.charCodeAt(0)) % 100_000, 7);
  return `+353${String(run).padStart(5, '0')}${String(number).padStart(5, '0')}`;
}
