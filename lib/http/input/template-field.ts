import { z } from 'zod';
import { atMost } from './at-most';
import { nonEmptyText } from './storable-text';

/** An approved WhatsApp template, with what Meta would refuse of it at each send refused when it is given. */
export const templateField = z.strictObject({
  name: z.string().regex(/^[a-z0-9_]{1,512}$/, 'is no name of a template: lower-case letters, digits and _'),
  language: z
    .string()
    .regex(/^[a-z]{2,3}(_[A-Za-z]{2,4})?$/, 'is no language of a template, such as en or en_US'),
  /** What stands for {{1}}, {{2}} … of its body. */
  parameters: atMost(
    100,
    z.array(
      nonEmptyText(1_024).refine(
        (text) => !/[\n\r\t]| {5}/.test(text),
        'has a line break, a tab or five spaces in a row',
      ),
    ),
  ).default([]),
});
