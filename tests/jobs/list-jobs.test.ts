import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registry } from '../../lib/jobs/registry.ts';
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

describe('the registry of jobs', () => {
  it('is what the folder says (if not: node scripts/list-jobs.mjs)', () => {
    expect(readFileSync('lib/jobs/registry.ts', 'utf8')).toBe(renderRegistry());
  });

  it('has the jobs that come along', () => {
    expect(Object.keys(registry)).toEqual(expect.arrayContaining(['count-words', 'fail-first', 'nap']));
  });

  it('gets a job by a file, and loses it with the file', () => {
    addFile('delete.ts');
    addFile('send-2-receipts.ts');
    expect(listJobs(folder)).toBe(true);
    const written = readFileSync(registryFile(), 'utf8');
    expect(written).toContain(`import deleteJob from './handlers/delete.ts';`);
    expect(written).toContain(`'delete': deleteJob,`);
    expect(written).toContain(`import send_2ReceiptsJob from './handlers/send-2-receipts.ts';`);
    rmSync(path.join(folder, 'handlers/delete.ts'));
    expect(listJobs(folder)).toBe(true);
    expect(readFileSync(registryFile(), 'utf8')).not.toContain('delete');
  });

  it('gets a job while a development server runs, as soon as its file holds something', async () => {
    listJobs(folder);
    const end = watchJobs(folder);
    try {
      addFile('later.ts', '');
      addFile('now.ts');
      await expect.poll(() => readFileSync(registryFile(), 'utf8')).toContain(`'now': nowJob,`);
      expect(readFileSync(registryFile(), 'utf8')).not.toContain('later');
      addFile('later.ts');
      await expect.poll(() => readFileSync(registryFile(), 'utf8')).toContain(`'later': laterJob,`);
    } finally {
      end();
    }
  });

  it('is written only where it differs', () => {
    addFile('nap.ts');
    expect(listJobs(folder)).toBe(true);
    const { mtimeMs } = statSync(registryFile());
    expect(listJobs(folder)).toBe(false);
    expect(statSync(registryFile()).mtimeMs).toBe(mtimeMs);
  });

  it.each(['Nap.ts', 'take_nap.ts', '2-naps.ts', 'nap.test.ts', 'nap.js', 'nap-.ts'])(
    'refuses %s, which names no job',
    (file) => {
      addFile(file);
      expect(() => listJobs(folder)).toThrow(`lib/jobs/handlers/${file}: rename the file to the job's name`);
    },
  );
});
