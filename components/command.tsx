/** Draws a terminal command. One click selects all of it. */
export function Command({ children }: { children: string }) {
  return (
    <pre
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
      tabIndex={0}
      className="overflow-x-auto rounded-lg bg-sunken p-3 font-mono text-xs leading-relaxed"
    >
      <code className="select-all">{children}</code>
    </pre>
  );
}
