import { z } from 'zod';
import { atMost } from '../../http/input/at-most';
import { nonBlankText, storableText } from '../../http/input/storable-text';
import type { AddressGuard } from '../../net/public-address';
import { postLimits } from '../../providers/body-limits';

/** The fields of a post that creating and editing it have in common. */
export const postBody = nonBlankText(postLimits.body);

/** Addresses of pictures and videos. What a name resolves to is looked at when it is fetched. */
export function postMedia(guard: AddressGuard) {
  const address = storableText(2_000).superRefine((value, context) => {
    const refusal = URL.canParse(value) ? guard.refusal(new URL(value)) : 'it is no address';
    if (refusal) context.addIssue({ code: 'custom', message: `cannot be fetched: ${refusal}` });
  });
  return atMost(postLimits.media, z.array(address));
}
