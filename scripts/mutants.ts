/**
 * Takes away one mechanism at a time and checks that something notices. Works on copies of the tree.
 *
 * - `npm run mutants -- [--only WORDS] [--seed 1] [--seeds 12] [--days 2] [--workers 2] [--postgres]`: the simulation has to.
 * - `npm run mutants -- --by tests [--only WORDS] [--some 4] [--workers 2]`: the quick tier (`npm test`) has to, or the test that a mutant
 *   names; also tries the others' mutants. With `--some` that many of them, others each time, for a tree whose tests have just passed.
 *
 * Exit code 1 when a mutant survives, or when the tree as it is fails.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { allMutants } from '../tests/mutants/all-mutants';
import type { Mutant } from '../tests/mutants/mutant';
import { simulationMutants } from '../tests/mutants/simulation-mutants';
import type { SimulationResult } from '../tests/simulation/run-simulation';

const { values: flags } = parseArgs({
  options: {
    by: { type: 'string', default: 'simulation' },
    only: { type: 'string', default: '' },
    some: { type: 'string' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '12' },
    days: { type: 'string', default: '2' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const leftOut = new Set(['node_modules', '.data', '.next', 'dist', '.git', 'test-results']);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

interface Verdict {
  ok: boolean;
  text: string;
}

/** Gives `work` a copy of the tree, and removes it in any case. */
async function withCopy<T>(work: (copy: string) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(path.join(tmpdir(), 'punctual-mutant-'));
  const remove = () => rmSync(copy, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    cpSync(root, copy, { recursive: true, filter: (source) => !leftOut.has(path.basename(source)) });
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

/** How a copy of the tree was found to be broken; null when it was not. */
type Judge = (copy: string, workers: number, mutant?: Mutant) => Promise<string | null>;

/** Plays seeds until one breaks a promise. */
const judgeBySimulation: Judge = (copy, workers) => {
  const { seed, seeds, days } = flags;
  const args = ['--import', 'tsx', 'scripts/simulate.ts', '--json', '--until-failure'];
  args.push('--seed', seed, '--seeds', seeds, '--days', days, '--workers', `${workers}`);
  if (flags.postgres) args.push('--postgres');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ['ignore', 'pipe', 'pipe'] });
    let failed: SimulationResult | null = null;
    let complaints = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      const result = JSON.parse(line) as SimulationResult;
      if (result.violations.length > 0) failed ??= result;
    });
    child.stderr.on('data', (text) => {
      complaints = `${complaints}${text}`.slice(-2_000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0 && !failed) reject(new Error(`the simulation could not run: ${complaints}`));
      else resolve(failed && describeViolations(failed));
    });
  });
};

const describeViolations = ({ seed, violations }: SimulationResult): string =>
  `seed ${seed}: ${[...new Set(violations.map(({ invariant }) => invariant))].join('; ')}`;

/** Where a test that fails is found soonest, by words of the mutated file's path; the whole quick tier is run after it. */
const likelyTests: [words: RegExp, tests: string[]][] = [
  [/templates/, ['sql/settle', 'sql/pace', 'sql/partitions', 'sql/receipts', 'sql/add-queue']],
  [/settle/, ['sql/settle', 'sql/refusals', 'sql/limits', 'sql/account-pace', 'sql/add-queue']],
  [/claim/, ['sql/pace', 'sql/partitions', 'sql/limits', 'sql/reconcile', 'sql/add-queue']],
  [/_pace/, ['sql/account-pace', 'sql/refusals', 'sql/hours']],
  [/exchange/, ['sql/exchange', 'sql/bounded', 'sql/adaptive', 'sql/partitions', 'sql/enrolments']],
  [/reconcile/, ['sql/reconcile', 'sql/receipts', 'sql/bounded']],
  [/restore/, ['sql/restore']],
  [/registry|add_queue/, ['sql/by-hand', 'sql/isolation', 'sql/add-queue', 'sql/bounded']],
  [/enrolments|sequences|replies/, ['sql/enrolments', 'sql/sequences', 'sql/replies']],
  [/engine/, ['engine/', 'jobs/']],
  [/queues/, ['queues/']],
  [
    /lib\/(cron|http|net|operate|providers|services|stats)\/|^app\/|^proxy/,
    ['cron/', 'http/', 'net/', 'operate/', 'providers/', 'queues/', 'services/', 'stats/'],
  ],
  [/lib\/store/, ['store/file-lock', 'store/full-disk.long']],
];

/** Runs the quick tier until a test fails. */
const judgeByTests: Judge = async (copy, workers, mutant) => {
  if (mutant?.seenBy) return runTests(copy, workers, [`tests/${mutant.seenBy}`]);
  const likely = likelyTests.find(([words]) => mutant && words.test(mutant.file))?.[1] ?? [];
  const soon =
    likely.length > 0
      ? await runTests(
          copy,
          workers,
          likely.map((file) => `tests/${file}`),
        )
      : null;
  return soon ?? runTests(copy, workers, []);
};

function runTests(copy: string, workers: number, files: string[]): Promise<string | null> {
  const args = [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...files,
    '--bail',
    '1',
    // These compare the text of files: any mutant fails the first, any mutant of a migration the second. Neither failure proves a guarantee.
    '--exclude',
    'tests/mutants/**',
    '--exclude',
    'tests/architecture/migrations-built.test.ts',
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
      resolve(code === 0 ? null : firstFailure(path.join(copy, 'mutant-report.json'))),
    );
  });
}

function firstFailure(report: string): string {
  // A schema that Postgres refuses leaves no report.
  if (!existsSync(report)) return 'the tests cannot start';
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { name: string; status: string; assertionResults: { status: string; fullName: string }[] }[];
  };
  const file = testResults.find(({ status }) => status === 'failed');
  const test = file?.assertionResults.find(({ status }) => status === 'failed');
  return `${path.basename(file?.name ?? 'no file')}: ${test?.fullName ?? 'the file as a whole'}`;
}

if (!['simulation', 'tests'].includes(flags.by))
  throw new Error(`--by is "${flags.by}": give simulation or tests.`);
const byTests = flags.by === 'tests';
const judge = byTests ? judgeByTests : judgeBySimulation;
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

async function checkAsItIs(): Promise<Verdict> {
  const failed = await withCopy((copy) => judge(copy, Number(flags.workers)));
  return failed
    ? { ok: false, text: `THE TREE AS IT IS fails: ${failed}` }
    : { ok: true, text: `the tree as it is passes, by ${flags.by}` };
}

function draw(from: Mutant[], count: number): Mutant[] {
  const left = [...from];
  return Array.from({ length: Math.min(count, left.length) }, () => {
    const [one] = left.splice(Math.floor(Math.random() * left.length), 1);
    return one as Mutant;
  });
}

const tell = (verdict: Verdict): Verdict => {
  console.log(verdict.text);
  return verdict;
};

const named = mutants.filter(({ name }) => name.includes(flags.only));
const chosen = flags.some ? draw(named, Number(flags.some)) : named;
const asItIs = flags.some ? { ok: true } : tell(await checkAsItIs());
const limit = pLimit(Number(flags.workers));
const verdicts = await Promise.all(
  (asItIs.ok ? chosen : []).map((mutant) => limit(async () => tell(await tryMutant(mutant)))),
);
const failures = [asItIs, ...verdicts].filter(({ ok }) => !ok).length;
console.log(`${chosen.length} mutants, ${failures} failures`);
if (failures > 0) process.exitCode = 1;
