import type { Browser, Page } from 'playwright-core';
import type { Enrolment, EnrolmentWithTimeline, Sequence } from '../../../lib/store/conversations.ts';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { newPage, open, overflowOf, until } from '../page.ts';
import type { Demo } from './demo.ts';
import { apiOf, type Delivered, logOf } from './figures.ts';

/** The longest path through the demo's sequences takes about two minutes. */
const overOptions = { withinMs: 900_000, everyMs: 1_000 };

interface Written {
  recipient: string;
  text: string;
}

/** Checks that the funnels and the timelines on the dashboard agree with the sandbox's own log. */
export async function checkSequences(demo: Demo, browser: Browser): Promise<void> {
  let sequences: Sequence[] = [];
  const areOver = async () => {
    ({ sequences } = await apiOf(demo, '/api/sequences'));
    return sequences.every(({ funnel: { phases } }) => phases.in_progress + phases.waiting_reply === 0);
  };
  check('all people reach the end of their sequence', await until(areOver, overOptions), sequences);
  const enrolled = sequences.map(({ funnel }) => funnel.enrolled);
  checkSame('two sequences are over, one with 12 people and one with 8', enrolled.sort(), [12, 8]);

  const delivered: Delivered[] = await logOf(demo, 'deliveries');
  const written: Written[] = await logOf(demo, 'replies');
  const { page, errors } = await newPage(browser);
  for (const sequence of sequences) await checkSequence(page, demo, sequence, delivered, written);
  const linkedin = sequences.find(({ channel }) => channel === 'linkedin');
  if (linkedin) await checkLatePerson(page, demo, linkedin);
  checkNone('the page has no errors with the sequences open', errors);
}

async function checkSequence(
  page: Page,
  demo: Demo,
  { id, name, steps }: Sequence,
  delivered: Delivered[],
  written: Written[],
): Promise<void> {
  const path = `/api/enrolments?sequence=${id}&limit=200`;
  const { enrolments }: { enrolments: Enrolment[] } = await apiOf(demo, path);
  const recipients = new Set(enrolments.map(({ recipient }) => recipient));
  const own = delivered.filter(
    ({ recipient, text }) => recipients.has(recipient) && /\(ref\. \S+\)/.test(text),
  );
  /** The demo's mark in a text: `1` for a step, `1r` for its reminder. */
  const stepOf = ({ text }: Delivered) => /\(ref\. \S+-(\d+r?)\)/.exec(text)?.[1] ?? '';
  const deliveriesOf = (step: string) => own.filter((one) => stepOf(one) === step).length;

  await open(page, `${demo.address}/sequences/${id}`);
  const rows = await page.locator(`table[aria-label="Funnel of ${name}"] tbody tr`).all();
  const shown = await Promise.all(
    rows.map(async (row) => {
      const [sent, , reminded] = await row.locator('td').allInnerTexts();
      return [Number(sent), Number(reminded === '–' ? 0 : reminded)];
    }),
  );
  const logged = steps.map((_, index) => [deliveriesOf(`${index + 1}`), deliveriesOf(`${index + 1}r`)]);
  checkSame(`${name}: the funnel agrees with the sandbox’s deliveries`, shown, logged);
  const repliers = new Set(written.map(({ recipient }) => recipient));
  const stopped = enrolments.filter(({ phase }) => phase === 'replied');
  const silent = stopped.filter(({ recipient }) => !repliers.has(recipient ?? ''));
  checkNone(`${name}: everybody who counts as replied has written`, silent);

  const people = page.locator('table[aria-label="People"] tbody a');
  const listed = Math.min(20, enrolments.length);
  checkSame(`${name}: the list shows all people, or the first 20`, await people.count(), listed);
  for (const enrolment of enrolments.slice(0, 3)) {
    await open(page, `${demo.address}/sequences/${id}/people/${enrolment.id}`);
    const timeline = page.locator('ol[aria-label^="Timeline"]');
    await timeline.waitFor();
    const lines = await timeline.locator('li').allInnerTexts();
    const sentSteps = lines.flatMap((line) => {
      const [, step] = /^Step (\d+) sent/.exec(line) ?? [];
      const [, reminder] = /^Reminder of step (\d+) sent/.exec(line) ?? [];
      return step ? [step] : reminder ? [`${reminder}r`] : [];
    });
    const got = own.filter(({ recipient }) => recipient === enrolment.recipient).map(stepOf);
    const timelineOf = `${name}: the timeline of enrolment ${enrolment.id}`;
    checkSame(`${timelineOf} shows the steps that the person got`, sentSteps, got);
    const read: EnrolmentWithTimeline = await apiOf(demo, `/api/enrolments/${enrolment.id}`);
    const replies = read.timeline.filter(({ event }) => event === 'replied').map(({ text }) => text ?? '');
    const texts = written
      .filter(({ recipient }) => recipient === enrolment.recipient)
      .map(({ text }) => text);
    checkNone(
      `${timelineOf} shows the person’s replies`,
      replies.filter((text) => !texts.includes(text) || !lines.some((line) => line.includes(text))),
    );
  }
}

/** Enrols a person whose first step is due tomorrow, with markup as a name and a chat id without a place to break. */
async function checkLatePerson(page: Page, demo: Demo, { id, placeholders }: Sequence): Promise<void> {
  const { enrolments } = await apiOf(demo, `/api/enrolments?sequence=${id}&limit=1`);
  const name = '<img src=x onerror="throw new Error(\'it is run\')">';
  const person = {
    account_id: enrolments[0].account_id,
    chat_id: 'no-place-to-break'.repeat(6),
    variables: Object.fromEntries(placeholders.map((variable) => [variable, name])),
    start_at: new Date(Date.now() + 86_400_000).toISOString(),
  };
  await apiOf(demo, `/api/sequences/${id}/enrolments`, person);

  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, `${demo.address}/sequences/${id}`);
  const listed = page.locator('table[aria-label="People"] tbody tr').first();
  const shown = 'the list shows when the person’s first step is due, and the name as text';
  checkText(shown, await listed.innerText(), [/step 1 of \d, due in 23 h/, name.slice(0, 12)]);
  await listed.getByRole('link').click();
  await page.locator('ol[aria-label^="Timeline"]').waitFor();
  const main = page.locator('main');
  checkText('their page shows the variables as text', await main.innerText(), [`first_name: ${name}`]);
  const buttons = await main.getByRole('button').allInnerTexts();
  checkSame('a visitor of the demo may act', buttons.join(', '), 'Pause, Stop');
  const overflow = await overflowOf(page);
  check('their page does not overflow a phone', overflow <= 0, overflow);
}
