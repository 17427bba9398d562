import type { Mutant } from './mutant.ts';

/** The API's document, its client, and apps in tests. */
export const apiMutants: Mutant[] = [
  {
    name: 'the errors in the document',
    guarantee: 'the document names every status that the API answers',
    file: 'lib/api/openapi/document.ts',
    find: 'const own = [...errors, 400, 401, 500, 503];',
    replace: 'const own = [400, 401, 500, 503];',
    seenBy: 'http/openapi.test.ts',
  },
  {
    name: 'entries of a counted list in the document',
    guarantee: 'the document says what a list or record of the input holds',
    file: 'lib/api/openapi/json-schema.ts',
    find: "if (def.type === 'pipe' && isUnknown(def as z.core.$ZodPipeDef))",
    replace: 'if (def.type === null)',
    seenBy: 'http/openapi.test.ts',
  },
  {
    name: 'the keys of a repeated call',
    guarantee: 'the client repeats only calls whose rows all have a key',
    file: 'lib/client/call-api.ts',
    find: 'return rows.every((row) => {',
    replace: 'return rows.some((row) => {',
    seenBy: 'client/punctual-client.test.ts',
  },
  {
    name: 'the pages of the client',
    guarantee: 'an iteration over a list gives its items of all pages',
    file: 'lib/client/pages.ts',
    find: 'cursor = next ?? undefined;',
    replace: 'cursor = undefined;',
    seenBy: 'client/punctual-client.test.ts',
  },
  {
    name: 'handlers that take no virtual time',
    guarantee: 'a handler’s timeout does not pass while it works in a test',
    file: 'lib/testing/test-app.ts',
    find: 'clock.busy(Promise.resolve().then(() => perform.call(queue, row, context)))',
    replace: 'Promise.resolve().then(() => perform.call(queue, row, context))',
    seenBy: 'testing/test-app.test.ts',
  },
  {
    name: 'the virtual time of the database',
    guarantee: 'functions of the database get the time of the test’s clock',
    file: 'lib/testing/test-app.ts',
    find: 'const now = timed.has(fn)',
    replace: "const now = fn === 'exchange' && timed.has(fn)",
    seenBy: 'testing/test-app.test.ts',
  },
];
