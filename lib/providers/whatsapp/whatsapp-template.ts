/** An approved template as a message names it. `parameters` stand for {{1}}, {{2}} … of its body, in order. */
export interface WhatsappTemplate {
  name: string;
  /** As Meta names it: `en`, `en_US`, `pt_BR`. */
  language: string;
  parameters: string[];
}
