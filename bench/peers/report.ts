import type { Result, Scenario } from './scenarios/scenario.ts';

/** A table in Markdown of a scenario's figures. The first contender is the reference of the ratios. */
export function tableOf({ unit, isRate }: Scenario, results: Result[]): string[] {
  const [reference] = results;
  return [
    `| | ${unit} | of the first | node, s | guarantees |`,
    '|---|---|---|---|---|',
    ...results.map(({ name, median, nodeSeconds, guarantees }) => {
      const figure = figureOf(median, isRate);
      const ratio = (median / (reference?.median ?? 1)).toFixed(2);
      return `| ${name} | ${figure} | ${ratio} | ${nodeSeconds.toFixed(1)} | ${guarantees} |`;
    }),
  ];
}

const figureOf = (value: number, isRate: boolean) =>
  isRate ? Math.round(value).toLocaleString('en') : value.toFixed(3);

const nameWidth = 300;
const barWidth = 360;
const lineHeight = 26;

/** Bars as an SVG. A line in each bar spans the rounds' figures. Its colours suit a light and a dark page. */
export function barsOf({ title, unit, isRate }: Scenario, results: Result[]): string {
  const highest = Math.max(...results.flatMap(({ figures }) => figures));
  const x = (value: number) => Math.round(nameWidth + (value / highest) * barWidth);
  const bars = results.flatMap(({ name, median, figures }, n) => {
    const y = n * lineHeight + 4;
    const [least, most] = [Math.min(...figures), Math.max(...figures)];
    const colour = name.startsWith('Punctual') ? '#2563eb' : '#94a3b8';
    return [
      `<text x="${nameWidth - 8}" y="${y + 13}" text-anchor="end">${escapeText(name)}</text>`,
      `<rect x="${nameWidth}" y="${y}" width="${x(median) - nameWidth}" height="18" fill="${colour}"/>`,
      `<line x1="${x(least)}" x2="${x(most)}" y1="${y + 9}" y2="${y + 9}" stroke="#f97316" stroke-width="2"/>`,
      `<text x="${x(most) + 6}" y="${y + 13}">${figureOf(median, isRate)} ${escapeText(unit)}</text>`,
    ];
  });
  const size = `width="${nameWidth + barWidth + 140}" height="${results.length * lineHeight + 4}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="13" fill="#64748b">`,
    `<title>${escapeText(title)}</title>`,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}

const escapeText = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
