import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// biome-ignore lint/correctness/useImportExtensions: it is JavaScript, with its types beside it
import { listJobs, renderRegistry, watchJobs } from '../../scripts/list-jobs.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'jobs-'));
  mkdirSync(path.join(folder, 'handlers'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const addFile = (file: string, content = 'export default {};') =>
  writeFileSync(path.join(folder, 'handlers', file), content);
const registryFile = () => path.join(folder, 'registry.ts');
const written = () => readFileSync(registryFile(), 'utf8');

describe('the registry of jobs', () => {
  it('matches the folder (if not, run node scripts/list-jobs.mjs)', () => {
    expect(readFileSync('lib/jobs/registry.ts', 'utf8')).toBe(renderRegistry());
  });

  it('gains a job with its file, and loses it with the file', () => {
    addFile('delete.ts');
    addFile('send-2-receipts.ts');
    expect(listJobs(folder)).toBe(true);
    expect(written()).toContain(`import deleteJob from './handlers/delete.ts';`);
    expect(written()).toContain(`'delete': deleteJob,`);
    expect(written()).toContain(`import send_2ReceiptsJob from './handlers/send-2-receipts.ts';`);
    rmSync(path.join(folder, 'handlers/delete.ts'));
    expect(listJobs(folder)).toBe(true);
    expect(written()).not.toContain('delete');
  });

  it('gains a job while a development server runs, as soon as its file is not empty', async () => {
    listJobs(folder);
    const end = watchJobs(folder);
    try {
      addFile('later.ts', '');
      addFile('now.ts');
      await expect.poll(written).toContain(`'now': nowJob,`);
      expect(written()).not.toContain('later');
      addFile('later.ts');
      await expect.poll(written).toContain(`'later': laterJob,`);
    } finally {
      end();
    }
  });

  it('is written only if it differs', () => {
    addFile('nap.ts');
    expect(listJobs(folder)).toBe(true);
    const { mtimeMs } = statSync(registryFile());
    expect(listJobs(folder)).toBe(false);
    expect(statSync(registryFile()).mtimeMs).toBe(mtimeMs);
  });

  it.each(['Nap.ts', 'take_nap.ts', '2-naps.ts', 'nap.test.ts', 'nap.js', 'nap-.ts'])(
    'refuses %s, which is not a job’s name',
    (file) => {
      addFile(file);
      expect(() => listJobs(folder)).toThrow(`lib/jobs/handlers/${file}: rename the file to the job's name`);
    },
  );
});
