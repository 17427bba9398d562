import { quote, rowSchema } from './row-schema.ts';
import { type Delivery, ownColumns, type Table } from './table.ts';

/** What `add queue` writes for a table. */
export interface QueuePlan {
  /** Lower-case letters, digits and `_`. */
  name: string;
  table: Table;
  dueColumn: string;
  delivery: Delivery;
  /** The column with the state, if it is not named `status`. */
  statusColumn?: string;
  /** The table's words by state, as JSON. */
  words?: string;
  existingRows?: string;
}

/** Returns the name of a queue for a table: `free_trials` for `public."FreeTrials"`. */
export function queueName(table: string): string {
  const bare = table.replace(/^.*\./, '').replaceAll('"', '');
  return bare
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z\d]+/g, '_')
    .replace(/^_+|_+$/g, '');
}

export const kebab = (name: string) => name.replaceAll('_', '-');

/** Words that cannot name a constant, and a name that punctual.ts has already. */
const taken =
  /^(?:await|break|case|catch|class|const|continue|debugger|default|delete|do|else|enum|export|extends|false|finally|for|function|if|import|in|instanceof|let|new|null|return|static|super|switch|this|throw|true|try|typeof|var|void|while|with|yield|punctual|done|z|row)$/;

/** Returns the name of a queue's constant: `freeTrials`. */
export function constantName(name: string): string {
  const camel = name.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase());
  return taken.test(camel) ? `${camel}Queue` : camel;
}

/** The migration that makes the table a queue. */
export function migrationText(plan: QueuePlan): string {
  return `-- The queue ${plan.name}: rows of ${plan.table.name}, due at ${plan.dueColumn}.

${addQueueSql(plan)}
`;
}

/** The call of `punctual.add_queue`. */
export function addQueueSql({ name, table, dueColumn, delivery, ...rest }: QueuePlan): string {
  const named = [
    rest.statusColumn && `p_status_column => ${literal(rest.statusColumn)}`,
    rest.words && `p_words => ${literal(rest.words)}`,
    rest.existingRows && `p_existing_rows => ${literal(rest.existingRows)}`,
  ].filter(Boolean);
  const positions = [name, table.name, dueColumn, delivery].map(literal).join(', ');
  return `select punctual.add_queue(${positions}${named.map((text) => `,\n  ${text}`).join('')});`;
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The file with the queue's row and handler. It has no type annotations, so that it is JavaScript too. */
export function queueFileText({
  name,
  table,
  dueColumn,
  delivery,
  statusColumn = 'status',
}: QueuePlan): string {
  return `import { defineQueue, done } from 'punctual';
import { z } from 'zod';

/** Runs each row of ${table.name} once ${dueColumn} has passed. */
export const ${constantName(name)} = defineQueue({
  name: ${quote(name)},
  // The columns that \`perform\` reads. Leave out those that it does not need.
  row: z.object({
${rowSchema(ownColumns(table, statusColumn))
  .map((line) => `  ${line}`)
  .join('\n')}
  }),
  delivery: ${quote(delivery)},
  timeoutMs: 10_000,
  async perform(row, { signal, attempt }) {
    // Do the row's work here, and pass \`signal\` on. Until you do, a due row is only marked done.
    return done();
  },
});
`;
}
