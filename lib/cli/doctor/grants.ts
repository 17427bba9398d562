import { z } from 'zod';
import { type Finding, fail, pass } from './finding.ts';

/** Returns one JSON text, `faults`: what public roles may do, and what the role of ticks may not. */
export const grantsSql = `
select jsonb_build_object(
  'open', (
    select coalesce(jsonb_agg(distinct r.role || ' may call ' || p.proname), '[]')
      from (values ('anon'), ('authenticated')) as r (role)
      join pg_catalog.pg_proc p on p.pronamespace = 'punctual'::regnamespace and has_function_privilege(r.role, p.oid, 'execute')),
  'readable', (
    select coalesce(jsonb_agg(distinct r.role || ' may read punctual.' || c.relname), '[]')
      from (values ('anon'), ('authenticated')) as r (role)
      join pg_catalog.pg_class c on c.relnamespace = 'punctual'::regnamespace and c.relkind in ('r', 'v')
                                and has_table_privilege(r.role, c.oid, 'select')),
  'exchange', (
    select coalesce(bool_and(has_function_privilege('service_role', p.oid, 'execute')), false)
           and has_schema_privilege('service_role', 'punctual', 'usage')
      from pg_catalog.pg_proc p where p.pronamespace = 'punctual'::regnamespace and p.proname = 'exchange'),
  'tables', (
    select coalesce(jsonb_agg(q.table_schema || '.' || q.table_name), '[]')
      from punctual.queues q join pg_catalog.pg_class c on c.oid = to_regclass(format('%I.%I', q.table_schema, q.table_name))
     where q.table_schema <> 'punctual' and not (has_schema_privilege('service_role', q.table_schema, 'usage')
                and has_table_privilege('service_role', c.oid, 'select') and has_table_privilege('service_role', c.oid, 'update')))
)::text as faults`;

const faults = z.object({
  open: z.array(z.string()),
  readable: z.array(z.string()),
  exchange: z.boolean(),
  tables: z.array(z.string()),
});

/** Reads the answer to `grantsSql`. */
export function grantFindings(text: unknown): Finding[] {
  const { open, readable, exchange, tables } = faults.parse(JSON.parse(String(text)));
  const findings: Finding[] = [];
  const public_ = [...open, ...readable];
  if (public_.length > 0) {
    const more = public_.length > 3 ? `, and ${public_.length - 3} more` : '';
    const mend = 'Run as the owner: select punctual.close_to_public();';
    findings.push(fail(`grants: ${public_.slice(0, 3).join(', ')}${more}`, mend));
  }
  if (!exchange)
    findings.push(
      fail(
        'grants: service_role may not call punctual.exchange, so nothing ticks',
        'Run as the owner: grant usage on schema punctual to service_role; select punctual.close_to_public();',
      ),
    );
  for (const table of tables)
    findings.push(
      fail(
        `grants: service_role may not read and write ${table}, so its queue fails`,
        `Run as the owner: grant select, insert, update, delete on ${table} to service_role;`,
      ),
    );
  return findings.length > 0 ? findings : [pass('grants: ticks may work, and public roles may not')];
}
