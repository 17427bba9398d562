import { z } from 'zod';
import { atMost } from '../../http/input/at-most.ts';
import { nonBlankText, storableText } from '../../http/input/storable-text.ts';
import type { AddressGuard } from '../../net/public-address.ts';
import { postLimits } from '../../providers/body-limits.ts';

/** The text of a post. Creating and editing share this field and `postMedia`. */
export const postBody = nonBlankText(postLimits.body);

export type UrlGuard = Pick<AddressGuard, 'faultOf'>;

/** URLs of pictures and videos. The addresses that a host name resolves to are checked when the media are fetched. */
export function postMedia(guard: UrlGuard) {
  const url = storableText(2_000).superRefine((value, context) => {
    const fault = URL.canParse(value) ? guard.faultOf(new URL(value)) : 'it is not a valid URL';
    if (fault) context.addIssue({ code: 'custom', message: `cannot be fetched: ${fault}` });
  });
  return atMost(postLimits.media, z.array(url));
}
