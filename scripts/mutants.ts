/**
 * Takes away one mechanism after the other, and sees that the simulation notices:
 * `npm run mutants -- [--only WORDS] [--seed 1] [--seeds 12] [--days 2] [--workers 2] [--postgres]`. Works on copies of the tree. Exit code 1
 * when a mutant survives, or no longer applies, or the tree as it is breaks a promise.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { type Mutant, mutants } from '../tests/simulation/mutants';
import type { SimulationResult } from '../tests/simulation/run-simulation';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '12' },
    days: { type: 'string', default: '2' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const leftOut = new Set(['node_modules', '.data', '.next', '.git', 'test-results']);

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

/** Plays seeds in a copy until one breaks a promise; null when none did. */
function play(copy: string, workers: number): Promise<SimulationResult | null> {
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
      if (code === 0 || failed) resolve(failed);
      else reject(new Error(`the simulation could not run: ${complaints}`));
    });
  });
}

/** Why it cannot be tried; null when it can. */
function misfit({ name, file, find }: Mutant): Verdict | null {
  const places = readFileSync(path.join(root, file), 'utf8').split(find).length - 1;
  if (places === 1) return null;
  return { ok: false, text: `NO LONGER APPLIES  ${name}: ${file} has it ${places} times: ${find}` };
}

async function tryMutant({ name, guarantee, file, find, replace }: Mutant): Promise<Verdict> {
  const startedAt = performance.now();
  const caught = await withCopy((copy) => {
    const mutated = path.join(copy, file);
    writeFileSync(
      mutated,
      readFileSync(mutated, 'utf8').replace(find, () => replace),
    );
    return play(copy, 1);
  });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  if (!caught)
    return { ok: false, text: `SURVIVED  ${name} (${guarantee}), ${flags.seeds} seeds, ${seconds} s` };
  const invariants = [...new Set(caught.violations.map(({ invariant }) => invariant))];
  return {
    ok: true,
    text: `caught    ${name}, by seed ${caught.seed} in ${seconds} s: ${invariants.join('; ')}`,
  };
}

async function checkAsItIs(): Promise<Verdict> {
  const failed = await withCopy((copy) => play(copy, Number(flags.workers)));
  if (!failed)
    return { ok: true, text: `the tree as it is keeps every promise over these ${flags.seeds} seeds` };
  const [first] = failed.violations;
  return {
    ok: false,
    text: `THE TREE AS IT IS fails with seed ${failed.seed}: ${first?.invariant}: ${first?.details}`,
  };
}

const tell = (verdict: Verdict): Verdict => {
  console.log(verdict.text);
  return verdict;
};

const chosen = mutants.filter(({ name }) => name.includes(flags.only));
const misfits = chosen.flatMap((mutant) => misfit(mutant) ?? []).map(tell);
const asItIs = tell(await checkAsItIs());
const limit = pLimit(Number(flags.workers));
const tries = asItIs.ok ? chosen.filter((mutant) => misfit(mutant) === null) : [];
const verdicts = await Promise.all(tries.map((mutant) => limit(async () => tell(await tryMutant(mutant)))));
const failures = [asItIs, ...misfits, ...verdicts].filter(({ ok }) => !ok).length;
console.log(`${chosen.length} mutants, ${failures} failures`);
if (failures > 0) process.exitCode = 1;
