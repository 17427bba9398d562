/** Returns the SQL that calls a function of the schema `punctual` with these parameters. Throws a `TypeError` for an invalid name. */
export function callText(fn: string, parameters: string[]): string {
  const list = parameters.map((name, n) => `${identifier(name)} => $${n + 1}`);
  return `select punctual.${identifier(fn)}(${list.join(', ')}) as result`;
}

function identifier(name: string): string {
  if (!/^[a-z_]+$/.test(name)) throw new TypeError(`"${name}" is not the name of a function or a parameter`);
  return name;
}
