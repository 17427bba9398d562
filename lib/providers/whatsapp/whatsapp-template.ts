/** A message's approved template. `parameters` replace {{1}}, {{2}} … in its body, in order. */
export interface WhatsappTemplate {
  name: string;
  /** Meta's code: `en`, `en_US`, `pt_BR`. */
  language: string;
  parameters: string[];
}
