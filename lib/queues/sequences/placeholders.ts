/** The name of a variable of an enrolment. */
export const variableName = /^[a-z][a-z0-9_]{0,39}$/;

const maxFaults = 10;

/** Returns the first ten faults of a text's `{{placeholders}}`. Positions count from 1. */
export function placeholderFaults(text: string): string[] {
  const faults: string[] = [];
  for (let at = text.indexOf('{{'); at >= 0 && faults.length < maxFaults; ) {
    const end = text.indexOf('}}', at + 2);
    const next = text.indexOf('{{', at + 2);
    if (end < 0 || (next >= 0 && next < end)) {
      faults.push(`has a {{ at character ${at + 1} that is not closed: write {{first_name}}`);
      at = next;
      continue;
    }
    const name = text.slice(at + 2, end).replace(/^ +| +$/g, '');
    if (!variableName.test(name)) {
      faults.push(
        `has "{{${name.slice(0, 60)}}}" at character ${at + 1}, which is not a placeholder: write {{first_name}}, up to 40 lower-case letters, digits and _, beginning with a letter`,
      );
    }
    at = text.indexOf('{{', end + 2);
  }
  return faults;
}
