import { z } from 'zod';
import { atMost } from './at-most.ts';
import { nonEmptyText } from './storable-text.ts';

/** An approved WhatsApp template. Values that Meta would refuse at each send are errors of the input. */
export const templateField = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9_]{1,512}$/, 'must be the name of a template: lower-case letters, digits and _'),
  language: z
    .string()
    .regex(/^[a-z]{2,3}(_[A-Za-z]{2,4})?$/, 'must be the language of a template, for example en or en_US'),
  parameters: atMost(
    100,
    z.array(
      nonEmptyText(1_024).refine(
        (text) => !/[\n\r\t]| {5}/.test(text),
        'must not have a line break, a tab or five spaces in a row',
      ),
    ),
  )
    .default([])
    .describe('The values of {{1}}, {{2}} … in its body.'),
});
