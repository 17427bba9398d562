const first = ['Marta', 'Elif', 'Tomás', 'Grace', 'Noah', 'Aïcha', 'Lena', 'Kofi', 'Hana', 'Diego', 'Ingrid'];
const last = ['Novak', 'Adeyemi', 'Costa', 'Lindqvist', 'Park', 'Haddad', 'Moreau', 'Singh', 'Kowalski'];

const openings = [
  'thanks for connecting!',
  'it was good to meet you at the conference.',
  'following up on our call last week:',
  'a quick reminder:',
  'I read your post on hiring with interest.',
  'hope your week began well.',
  'as promised,',
];
const messages = [
  'the notes from the workshop are ready; shall I send them over?',
  'your table for four on Friday at 19:30 is booked.',
  'would Tuesday or Thursday suit you for twenty minutes?',
  'the parcel is out for delivery and arrives between 14:00 and 16:00.',
  'we opened two places in the spring cohort, and I thought of you.',
  'your invoice for October is attached to your account.',
  'here is the case study that you asked for 🙂',
  'could you tell me who looks after purchasing at your end?',
];

const thoughts = [
  'Three things we learned from a year of hiring without CVs.',
  'Our workshop on scheduling is booked out; a second one is in March.',
  'What nobody tells you about moving a night job to the day.',
  'We have written down how we plan a week. It fits on one page.',
  'A customer asked why we answer within an hour. Because somebody once did for us.',
];

/** Returns a name. Names repeat after 99 rows. */
export function personName(index: number): string {
  return `${first[index % first.length]} ${last[index % last.length]}`;
}

export function firstNameOf(name: string): string {
  return name.split(/[ ,]/)[0] as string;
}

/** Returns a message's text. `reference` makes it unique, so that the sandbox's log shows double deliveries. */
export function messageText(index: number, sender: string, reference: string): string {
  const opening = openings[index % openings.length];
  const message = messages[(index * 3) % messages.length];
  return `Hi ${firstNameOf(personName(index))}, ${opening} ${message}\n${sender} (ref. ${reference})`;
}

/** Returns the message as parameters of an approved template, for people who have not written. */
export function messageTemplate(index: number, reference: string) {
  const name = firstNameOf(personName(index));
  const message = `${messages[(index * 3) % messages.length]} (ref. ${reference})`;
  return { name: 'customer_update', language: 'en', parameters: [name, message] };
}

/** Returns a post's text. `reference` makes it unique. */
export function postText(index: number, reference: string): string {
  return `${thoughts[index % thoughts.length]} (ref. ${reference})`;
}
