/**
 * Removes one mechanism at a time, and checks that a test or the simulation fails. Works on copies of the tree.
 *
 * - `npm run mutants -- [--only WORDS] [--seed 1] [--seeds 12] [--days 2] [--workers 2] [--postgres]`: the simulation must fail.
 * - `npm run mutants -- --by tests [--only WORDS] [--some 4] [--workers 2]`: the quick tier (`npm test`) must fail, or the test that the mutant
 *   names. It tries all mutants, not only the simulation's. `--some 4` tries 4 at random, on a tree whose tests have just passed.
 * - `npm run mutants -- --by tests --table`: runs the whole quick tier for each mutant, prints all tests that catch it, and at the end for each test
 *   file how many mutants only it catches. Minutes a mutant: choose some by `--only` or `--some`.
 *
 * Exits with 1 if a mutant survives, or if the unchanged tree fails.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { allMutants } from '../tests/mutants/all-mutants.ts';
import type { Mutant } from '../tests/mutants/mutant.ts';
import { simulationMutants } from '../tests/mutants/simulation-mutants.ts';
import type { SimulationResult } from '../tests/simulation/run-simulation.ts';

const { values: flags } = parseArgs({
  options: {
    by: { type: 'string', default: 'simulation' },
    only: { type: 'string', default: '' },
    some: { type: 'string' },
    table: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '12' },
    days: { type: 'string', default: '2' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const notCopied = new Set(['node_modules', '.data', '.next', 'dist', '.git', 'test-results']);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

interface Verdict {
  ok: boolean;
  text: string;
}

/** Runs `work` on a copy of the tree, and removes the copy. */
async function withCopy<T>(work: (copy: string) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(path.join(tmpdir(), 'punctual-mutant-'));
  const remove = () => rmSync(copy, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    cpSync(root, copy, { recursive: true, filter: (source) => !notCopied.has(path.basename(source)) });
    for (const modules of ['node_modules', 'tests/stack/node_modules']) {
      if (existsSync(path.join(root, modules)))
        symlinkSync(path.join(root, modules), path.join(copy, modules));
    }
    return await work(copy);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** Returns the failure of a copy of the tree; null if nothing fails. */
type Judge = (copy: string, workers: number, mutant?: Mutant) => Promise<string | null>;

/** Runs seeds until one breaks an invariant. */
const judgeBySimulation: Judge = (copy, workers) => {
  const { seed, seeds, days } = flags;
  const args = ['--import', 'tsx', 'scripts/simulate.ts', '--json', '--until-failure'];
  args.push('--seed', seed, '--seeds', seeds, '--days', days, '--workers', `${workers}`);
  if (flags.postgres) args.push('--postgres');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ['ignore', 'pipe', 'pipe'] });
    let failed: SimulationResult | null = null;
    let stderr = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      const result = JSON.parse(line) as SimulationResult;
      if (result.violations.length > 0) failed ??= result;
    });
    child.stderr.on('data', (text) => {
      stderr = `${stderr}${text}`.slice(-2_000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0 && !failed) reject(new Error(`the simulation could not run: ${stderr}`));
      else resolve(failed && describeViolations(failed));
    });
  });
};

const describeViolations = ({ seed, violations }: SimulationResult): string =>
  `seed ${seed}: ${[...new Set(violations.map(({ invariant }) => invariant))].join('; ')}`;

/** The words of a text, also those of a name such as `claim_paced_rows` or `findHandler`. */
const wordsOf = (text: string): string[] =>
  text
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase()
    .match(/[a-z]{2,}/g) ?? [];

/** The quick tier's test files, each with how often it has each word. */
const quickTests = readdirSync(path.join(root, 'tests'), { recursive: true, encoding: 'utf8' })
  .filter(
    (file) => file.endsWith('.test.ts') && !/\.(long|real)\.|^(mutants|upgrade|architecture)/.test(file),
  )
  .map((file) => {
    const counts = new Map<string, number>();
    for (const word of wordsOf(readFileSync(path.join(root, 'tests', file), 'utf8')))
      counts.set(word, (counts.get(word) ?? 0) + 1);
    return { file: `tests/${file}`, counts };
  });

/** Returns the test files that share the most words with a mutant: two, then three more. Rare words count for more. */
function likelyTests({ name, guarantee, file, find }: Mutant): string[][] {
  const before = readFileSync(path.join(root, file), 'utf8').split(find)[0] ?? '';
  const subject = before.match(/function [\w.]+/g)?.at(-1) ?? '';
  const words = wordsOf(
    `${name} ${guarantee} ${name} ${guarantee} ${find} ${subject} ${subject} ${file} ${file}`,
  );
  const weightOf = (word: string) =>
    Math.log(quickTests.length / Math.max(1, quickTests.filter(({ counts }) => counts.has(word)).length));
  const score = (counts: Map<string, number>) =>
    words.reduce((sum, word) => sum + weightOf(word) * Math.min(1, (counts.get(word) ?? 0) / 3), 0);
  const ranked = quickTests
    .map((test) => ({ ...test, score: score(test.counts) }))
    .sort((one, other) => other.score - one.score)
    .map((test) => test.file);
  return [ranked.slice(0, 2), ranked.slice(2, 5)];
}

/** Runs the likely tests, then the whole quick tier, until one fails. */
const judgeByTests: Judge = async (copy, workers, mutant) => {
  const rounds = mutant?.seenBy ? [[`tests/${mutant.seenBy}`]] : [...(mutant ? likelyTests(mutant) : []), []];
  for (const files of rounds) {
    const [failure] = await runTests(copy, workers, files);
    if (failure) return `${failure.file}: ${failure.test}`;
  }
  return null;
};

/** The mutants that each test file catches, by `--table`. */
const caughtBy = new Map<string, Set<string>>();

/** Runs the whole quick tier, and the named test of another tier, and notes every failure. */
const judgeByTable: Judge = async (copy, workers, mutant) => {
  const failures = await runTests(copy, workers, [], { bail: false });
  if (mutant?.seenBy && /\.(long|real)\./.test(mutant.seenBy))
    failures.push(...(await runTests(copy, workers, [`tests/${mutant.seenBy}`], { bail: false })));
  if (mutant)
    for (const { file } of failures) caughtBy.set(file, (caughtBy.get(file) ?? new Set()).add(mutant.name));
  return failures.length === 0 ? null : failures.map(({ file, test }) => `\n    ${file}: ${test}`).join('');
};

/** Prints for each test file how many of the mutants it catches, and how many only it catches. */
function printTable(): void {
  const files = [...caughtBy].sort(([a], [b]) => a.localeCompare(b));
  for (const [file, names] of files) {
    const own = [...names].filter((name) =>
      files.every(([other, those]) => other === file || !those.has(name)),
    );
    console.log(`${file}: catches ${names.size}, ${own.length} of them alone`);
  }
  const idle = quickTests
    .map(({ file }) => path.relative('tests', file))
    .filter((file) => !caughtBy.has(file));
  console.log(`Test files that catch none of these mutants: ${idle.join(', ')}`);
}

interface Failure {
  /** Below `tests`. */
  file: string;
  test: string;
}

function runTests(copy: string, workers: number, files: string[], { bail = true } = {}): Promise<Failure[]> {
  const args = [
    'node_modules/vitest/vitest.mjs',
    'run',
    // A name that no file has must not count as a failure.
    '--passWithNoTests',
    ...files,
    '--bail',
    bail ? '1' : '0',
    // These compare texts, so they prove no guarantee: every mutant fails the first, every mutant of a source the second, and some the third.
    '--exclude',
    'tests/mutants/**',
    '--exclude',
    'tests/upgrade/**',
    '--exclude',
    'tests/architecture/docs-sql.test.ts',
    '--maxWorkers',
    `${workers}`,
  ];
  const tier = files.map((file) => /\.(long|real)\b/.exec(file)?.[1]).find(Boolean);
  if (tier) args.push('--config', tier === 'long' ? 'vitest.all.config.ts' : 'vitest.real.config.ts');
  args.push('--reporter', 'json', '--outputFile', 'mutant-report.json');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: copy, stdio: 'ignore' });
    child.on('error', reject);
    child.on('close', (code) =>
      resolve(code === 0 ? [] : readFailures(path.join(copy, 'mutant-report.json'))),
    );
  });
}

function readFailures(report: string): Failure[] {
  // There is no report if Postgres refuses the schema.
  if (!existsSync(report)) return [{ file: 'no file', test: 'the tests cannot start' }];
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { name: string; status: string; assertionResults: { status: string; fullName: string }[] }[];
  };
  const tests = path.join(path.dirname(report), 'tests');
  const failures = testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, assertionResults }) => {
      const failed = assertionResults.filter(({ status }) => status === 'failed');
      const names = failed.length > 0 ? failed.map(({ fullName }) => fullName) : ['the file as a whole'];
      return names.map((test) => ({ file: path.relative(tests, name), test }));
    });
  return failures.length > 0 ? failures : [{ file: 'no file', test: 'the run as a whole' }];
}

if (!['simulation', 'tests'].includes(flags.by))
  throw new Error(`--by is "${flags.by}", but must be simulation or tests.`);
if (flags.table && flags.by !== 'tests') throw new Error('--table needs --by tests.');
const byTests = flags.by === 'tests';
const judge = flags.table ? judgeByTable : byTests ? judgeByTests : judgeBySimulation;
const mutants = byTests ? allMutants : simulationMutants;

async function tryMutant(mutant: Mutant): Promise<Verdict> {
  const { name, guarantee, file, find, replace } = mutant;
  const startedAt = performance.now();
  const caught = await withCopy((copy) => {
    const mutated = path.join(copy, file);
    writeFileSync(
      mutated,
      readFileSync(mutated, 'utf8').replace(find, () => replace),
    );
    return judge(copy, 1, mutant);
  });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  if (!caught) return { ok: false, text: `SURVIVED  ${name} (${guarantee}), ${seconds} s` };
  return { ok: true, text: `caught    ${name}, in ${seconds} s by ${caught}` };
}

async function checkUnchanged(): Promise<Verdict> {
  const failed = await withCopy((copy) => judge(copy, Number(flags.workers)));
  return failed
    ? { ok: false, text: `THE UNCHANGED TREE fails: ${failed}` }
    : { ok: true, text: `the unchanged tree passes, by ${flags.by}` };
}

function draw(from: Mutant[], count: number): Mutant[] {
  const left = [...from];
  return Array.from({ length: Math.min(count, left.length) }, () => {
    const [one] = left.splice(Math.floor(Math.random() * left.length), 1);
    return one as Mutant;
  });
}

const print = (verdict: Verdict): Verdict => {
  console.log(verdict.text);
  return verdict;
};

const named = mutants.filter(({ name }) => name.includes(flags.only));
const chosen = flags.some ? draw(named, Number(flags.some)) : named;
const unchanged = flags.some ? { ok: true } : print(await checkUnchanged());
const limit = pLimit(Number(flags.workers));
const verdicts = await Promise.all(
  (unchanged.ok ? chosen : []).map((mutant) => limit(async () => print(await tryMutant(mutant)))),
);
if (flags.table) printTable();
const failures = [unchanged, ...verdicts].filter(({ ok }) => !ok).length;
console.log(`${chosen.length} mutants, ${failures} failures`);
if (failures > 0) process.exitCode = 1;
