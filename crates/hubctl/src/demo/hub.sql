-- The sample hub: schema and data of a service that tracks the work of many agents.
--
-- Plain SQL for one simple-query message; no psql meta-commands. Size is set by the custom parameter
-- `demo.scale` (default 1, about 100 MB with indexes; fractions such as 0.02 are allowed):
--
--     SET demo.scale = 1;
--
-- Every value comes from md5 of a row number, so two loads are identical on every server version.
-- The rows of `writer.sql` and these rows keep the invariants that the view `hub_invariants` checks.

BEGIN;
SET LOCAL search_path = public;
SET LOCAL TimeZone = 'UTC';
SET LOCAL client_min_messages = warning;

SELECT set_config('demo.scale', coalesce(nullif(current_setting('demo.scale', true), ''), '1'), true);
SELECT set_config('demo.' || name, greatest(2, round(rows * current_setting('demo.scale')::numeric))::text, true)
  FROM (VALUES ('workstreams', 400), ('tasks', 6000), ('events', 112000), ('messages', 14000),
               ('decisions', 1200), ('snapshots', 300), ('debts', 1500), ('points', 600),
               ('contributions', 900)) AS size (name, rows);

CREATE TYPE workstream_status AS ENUM ('planned', 'active', 'blocked', 'paused', 'completed', 'archived');
CREATE TYPE task_status AS ENUM ('todo', 'in_progress', 'blocked', 'review', 'done', 'cancelled');
CREATE TYPE decision_status AS ENUM ('proposed', 'accepted', 'rejected', 'superseded');
CREATE TYPE event_kind AS ENUM ('note', 'commit', 'status_change', 'sweep', 'session_end', 'error');
CREATE TYPE debt_severity AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE token_account AS ENUM ('budget', 'session');
CREATE DOMAIN slug AS text CHECK (VALUE ~ '^[a-z0-9]+(-[a-z0-9]+)*$');

CREATE TABLE alembic_version (
    version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY
);

CREATE TABLE domains (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug slug NOT NULL UNIQUE,
    name text NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE topics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    domain_id uuid REFERENCES domains ON DELETE SET NULL,
    slug slug NOT NULL UNIQUE,
    title text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'parked', 'closed')),
    tags text[] NOT NULL DEFAULT '{}',
    detail jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE managed_repos (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    topic_id uuid REFERENCES topics ON DELETE SET NULL,
    slug slug NOT NULL UNIQUE,
    remote_url text NOT NULL,
    default_branch text NOT NULL DEFAULT 'main',
    last_commit char(40) CHECK (last_commit ~ '^[0-9a-f]{40}$'),
    languages text[] NOT NULL DEFAULT '{}',
    detail jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workstreams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    topic_id uuid REFERENCES topics ON DELETE SET NULL,
    repo_id uuid REFERENCES managed_repos ON DELETE SET NULL,
    slug slug NOT NULL UNIQUE,
    title text NOT NULL,
    status workstream_status NOT NULL DEFAULT 'planned',
    owner text,
    priority smallint NOT NULL DEFAULT 3 CHECK (priority BETWEEN 1 AND 5),
    depends_on uuid[],
    message_count integer NOT NULL DEFAULT 0 CHECK (message_count >= 0),
    detail jsonb NOT NULL DEFAULT '{}',
    started_on date,
    due_on date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (due_on >= started_on)
);

-- Keys and indexes of the bigger tables follow the data: they are faster to build at once.
CREATE TABLE tasks (
    id uuid DEFAULT gen_random_uuid(),
    number serial,
    workstream_id uuid,
    parent_id uuid,
    title text NOT NULL,
    description text,
    status task_status NOT NULL DEFAULT 'todo',
    labels text[] NOT NULL DEFAULT '{}',
    estimate interval,
    event_count integer NOT NULL DEFAULT 0 CHECK (event_count >= 0),
    detail jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CHECK (status <> 'done' OR completed_at IS NOT NULL)
);

CREATE TABLE decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workstream_id uuid REFERENCES workstreams ON DELETE SET NULL,
    title text NOT NULL,
    status decision_status NOT NULL DEFAULT 'proposed',
    rationale text,
    options jsonb NOT NULL DEFAULT '[]',
    superseded_by uuid,
    decided_at timestamptz
);

CREATE TABLE progress_events (
    id uuid DEFAULT gen_random_uuid(),
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    task_id uuid,
    workstream_id uuid,
    kind event_kind NOT NULL,
    agent text NOT NULL,
    host text NOT NULL,
    summary text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    tokens integer NOT NULL DEFAULT 0 CHECK (tokens >= 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sbom_snapshots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid REFERENCES managed_repos ON DELETE SET NULL,
    tool text NOT NULL,
    document json NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 16),
    component_count integer NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sbom_entries (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    snapshot_id uuid NOT NULL,
    ecosystem text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    purl text GENERATED ALWAYS AS ('pkg:' || ecosystem || '/' || name || '@' || version) STORED,
    licence text,
    direct boolean NOT NULL DEFAULT false
);

CREATE TABLE technical_debt (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid REFERENCES managed_repos ON DELETE SET NULL,
    title text NOT NULL,
    severity debt_severity NOT NULL DEFAULT 'medium',
    cost numeric(10, 2) NOT NULL CHECK (cost >= 0),
    interest_rate double precision,
    paths text[] NOT NULL DEFAULT '{}',
    detail jsonb NOT NULL DEFAULT '{}',
    resolved_at timestamptz
);

CREATE TABLE extension_points (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid REFERENCES managed_repos ON DELETE SET NULL,
    name text NOT NULL,
    contract json,
    stability text NOT NULL CHECK (stability IN ('experimental', 'stable', 'frozen')),
    versions int4range
);

CREATE TABLE contributions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid REFERENCES managed_repos ON DELETE SET NULL,
    upstream text NOT NULL,
    url text NOT NULL,
    state text NOT NULL CHECK (state IN ('draft', 'submitted', 'merged', 'declined')),
    submitted_at timestamptz,
    merged_at timestamptz,
    detail jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workstream_id uuid,
    event_id uuid,
    sender text NOT NULL,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    detail jsonb,
    sent_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz
);

CREATE TABLE token_events (
    id bigserial,
    event_id uuid,
    account token_account NOT NULL,
    model text NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO alembic_version VALUES ('0042_token_ledger');

INSERT INTO domains (id, slug, name, description, created_at)
SELECT md5('domain' || i)::uuid, name, initcap(name),
       CASE WHEN i % 4 > 0 THEN 'Everything that belongs to ' || name || '; owned by nobody in particular.' END,
       timestamptz '2026-01-05 08:00:00+00' + i * interval '1 hour'
  FROM unnest(ARRAY['platform', 'storage', 'network', 'identity', 'observability', 'billing',
                    'research', 'editor', 'compiler', 'website', 'mobile', 'archive']) WITH ORDINALITY AS d (name, i);

INSERT INTO topics (id, domain_id, slug, title, status, tags, detail, created_at, updated_at)
SELECT md5('topic' || i)::uuid, md5('domain' || 1 + i % 12)::uuid, format('topic-%s', i),
       format('Topic %s: make the service boring', i), (ARRAY['active', 'active', 'parked', 'closed'])[1 + i % 4],
       CASE i % 3 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['ops'] ELSE ARRAY['ops', 'comma, quote "x"', 'q' || i % 4 + 1] END,
       jsonb_build_object('review', format('2026-%s-01', to_char(1 + i % 12, 'FM00')), 'watchers', i % 7, 'pinned', i % 9 = 0),
       timestamptz '2026-01-06 09:00:00+00' + i * interval '7 hours', timestamptz '2026-03-01 09:00:00+00' + i * interval '5 hours'
  FROM generate_series(1, 60) AS i;

INSERT INTO managed_repos (id, topic_id, slug, remote_url, last_commit, languages, detail, created_at)
SELECT md5('repo' || i)::uuid, CASE WHEN i % 11 > 0 THEN md5('topic' || 1 + i % 60)::uuid END, format('repo-%s', i),
       format('ssh://git@forge.example/hub/repo-%s.git', i), md5('commit' || i) || substr(md5('commit' || i), 1, 8),
       (ARRAY['{Rust}', '{Python,SQL}', '{Go,Shell}', '{TypeScript}', '{}'])[1 + i % 5]::text[],
       jsonb_build_object('hooks', jsonb_build_array('post-commit', 'pre-push'), 'size_kib', i * 1931 % 90001),
       timestamptz '2026-01-07 10:00:00+00' + i * interval '3 hours'
  FROM generate_series(1, 70) AS i;

INSERT INTO progress_events (id, task_id, workstream_id, kind, agent, host, summary, detail, tokens, created_at)
SELECT hash::uuid, md5('task' || task)::uuid, md5('workstream' || 1 + task % current_setting('demo.workstreams')::int)::uuid,
       kind, agent, (ARRAY['workstation', 'workstation', 'laptop', 'node1.example', 'node2.example'])[1 + r % 5],
       format('%s %s %s %s',
           (ARRAY['Reviewed', 'Moved', 'Split', 'Measured', 'Documented', 'Fixed', 'Reverted', 'Renamed', 'Benchmarked',
                  'Hardened', 'Removed', 'Restored', 'Rewrote', 'Checked', 'Merged', 'Traced'])[1 + r / 7 % 16],
           (ARRAY['the retry loop', 'a flaky test', 'the session store', 'the nightly sweep', 'the import of old rows',
                  'the summary cache', 'three stale branches', 'the health probe', 'the token ledger', 'the schema migration',
                  'a slow query', 'the outbox replay', 'the release notes', 'the lock order'])[1 + r / 131 % 14],
           (ARRAY['of the gateway', 'in the worker', 'for the edge relay', 'of the scheduler', 'in the editor plugin',
                  'for new repositories', 'of the archive', 'behind the proxy', 'in the client library'])[1 + r / 1931 % 9],
           (ARRAY['and added a test', 'after the review', '(second attempt)', '– waiting for feedback', 'without changes to the API',
                  'because the old way lost rows', 'as agreed', 'and left a note for the next session', 'which closes #' || r % 4000,
                  'in ' || r % 97 || ' minutes', ''])[1 + r / 18041 % 11]),
       CASE kind
           WHEN 'commit' THEN jsonb_build_object('commit', hash || substr(md5(hash), 1, 8), 'branch', (ARRAY['main', 'main', 'fix/' || r % 900])[1 + r % 3],
               'files', jsonb_build_array('src/' || (ARRAY['api', 'store', 'sweep', 'relay', 'ledger'])[1 + r % 5] || '/mod.rs', 'tests/it/case_' || r % 300 || '.rs'),
               'insertions', r % 410, 'deletions', r % 199)
           WHEN 'sweep' THEN jsonb_build_object('checked', 60 + r % 15, 'stale', r % 4, 'duration_ms', 400 + r % 9000,
               'repos', jsonb_build_array('repo-' || 1 + r % 70, 'repo-' || 1 + r / 70 % 70, 'repo-' || 1 + r / 4900 % 70), 'next_run_in', '15m')
           WHEN 'status_change' THEN jsonb_build_object('from', 'in_progress', 'to', (ARRAY['review', 'done', 'blocked'])[1 + r % 3], 'reason', NULL, 'automatic', r % 5 = 0)
           WHEN 'error' THEN jsonb_build_object('error', 'ConnectionRefused', 'attempt', 1 + r % 6, 'traceback',
               format(E'Traceback (most recent call last):\n\tfile "relay\\\\outbox.py", line %s, in replay\n\tConnectionRefusedError: [Errno 111] 192.0.2.%s:5432', r % 700, r % 254))
           WHEN 'session_end' THEN jsonb_build_object('session', md5('session' || r % 9001)::uuid, 'model', (ARRAY['model-large', 'model-small'])[1 + r % 2],
               'tools', jsonb_build_array('read', 'search', 'edit', 'run'), 'turns', r % 140, 'cost', round(r % 100000 / 7919.0, 4), 'outcome', 'finished')
           ELSE jsonb_build_object('text', format('Left off at step %s of %s. The next session should look at the open questions first.', r % 9, 9 + r % 5), 'tags', jsonb_build_array('handover'))
       END || jsonb_build_object('client', jsonb_build_object('name', 'hub-client', 'version', '0.9.' || r / 11 % 4, 'transport', 'sse'),
                                 'workspace', '/srv/checkouts/repo-' || 1 + r / 13 % 70, 'acknowledged', r % 10 > 0),
       tokens, timestamptz '2026-02-01 00:00:00+00' + i * interval '173 seconds' + r % 173000000 * interval '1 microsecond'
  FROM (SELECT i, hash, r,
               1 + r % (current_setting('demo.tasks')::int - 1) AS task,
               (enum_range(NULL::event_kind))[1 + r / 3 % 6] AS kind,
               'agent-' || (ARRAY['ash', 'birch', 'cedar', 'elm', 'hazel', 'larch', 'maple', 'oak', 'pine', 'rowan'])[1 + r / 5 % 10] AS agent,
               CASE WHEN r / 3 % 6 = 4 THEN (500 + r % 90000)::int ELSE 0 END AS tokens
          FROM (SELECT i, hash, ('x' || left(hash, 15))::bit(60)::bigint AS r
                  FROM (SELECT i, md5('event' || i) AS hash FROM generate_series(1, current_setting('demo.events')::int) AS i OFFSET 0) AS h
                OFFSET 0) AS n
        OFFSET 0) AS e;

-- A ledger of two lines a booking: what a session took, its budget lost.
INSERT INTO token_events (event_id, account, model, amount, created_at)
SELECT e.id, line.account, e.detail ->> 'model', line.sign * e.tokens, e.created_at
  FROM progress_events AS e, (VALUES ('session'::token_account, 1), ('budget', -1)) AS line (account, sign)
 WHERE e.tokens > 0
 ORDER BY e.sequence, line.sign;

INSERT INTO messages (id, workstream_id, event_id, sender, recipient, subject, body, detail, sent_at, read_at)
SELECT hash::uuid, md5('workstream' || 1 + r % current_setting('demo.workstreams')::int)::uuid,
       CASE WHEN r % 3 > 0 THEN md5('event' || 1 + r % current_setting('demo.events')::int)::uuid END,
       (ARRAY['agent-ash', 'agent-elm', 'operator', 'sweep'])[1 + r % 4], (ARRAY['operator', 'all', 'agent-oak'])[1 + r / 4 % 3],
       (ARRAY['Question', 'Re: Question', 'Handover', 'Sweep found stale work', 'Übergabe ✔'])[1 + r / 12 % 5] || ' ' || r % 1000,
       CASE r / 60 % 4
           WHEN 0 THEN format(E'## Handover\n\n- branch: `fix/%s`\n- state: tests pass, the review is open\n- next: measure on %s rows\n\n```sh\n\tgrep -n "\\\\." src/*.rs | head -%s\n```\n', r % 900, r % 100000, r % 50)
           WHEN 1 THEN format('Could somebody confirm that step %s may be repeated? The journal says it ran at 07:%s, but the summary was cached.', r % 30, to_char(r % 60, 'FM00'))
           WHEN 2 THEN format(E'The sweep looked at %s repositories.\r\nNothing to do for %s of them; the others have uncommitted work older than a day.\r\n', 60 + r % 15, r % 50)
           ELSE 'Done, thank you. The decision is recorded; please close the task when the release is out.'
       END,
       CASE WHEN r % 5 = 0 THEN jsonb_build_object('thread', md5('thread' || r % 800)::uuid, 'priority', r % 3) END,
       timestamptz '2026-02-01 00:00:00+00' + i * interval '27 minutes',
       CASE WHEN r % 6 > 0 THEN timestamptz '2026-02-01 00:00:00+00' + i * interval '27 minutes' + r % 80000 * interval '1 second' END
  FROM (SELECT i, hash, ('x' || left(hash, 15))::bit(60)::bigint AS r
          FROM (SELECT i, md5('message' || i) AS hash FROM generate_series(1, current_setting('demo.messages')::int) AS i OFFSET 0) AS h
        OFFSET 0) AS n;

INSERT INTO workstreams (id, topic_id, repo_id, slug, title, status, owner, priority, depends_on, message_count, detail, started_on, due_on, created_at, updated_at)
SELECT md5('workstream' || i)::uuid, md5('topic' || 1 + i % 60)::uuid, CASE WHEN i % 5 > 0 THEN md5('repo' || 1 + i % 70)::uuid END,
       format('workstream-%s', i), format('Workstream %s: %s', i, (ARRAY['finish the migration', 'pay back debt', 'prepare the release', 'learn from the incident'])[1 + i % 4]),
       (enum_range(NULL::workstream_status))[1 + i % 6], CASE WHEN i % 3 > 0 THEN 'agent-oak' END, 1 + i % 5,
       CASE WHEN i % 4 = 0 THEN ARRAY[md5('workstream' || i - 1)::uuid, NULL] END,
       coalesce(sent.messages, 0), jsonb_build_object('goal', 'No row is lost', 'milestones', to_jsonb(ARRAY['plan', 'do', 'check']), 'budget', i * 1000),
       date '2026-02-01' + i % 90, CASE WHEN i % 3 = 0 THEN date '2026-06-01' + i % 90 END,
       timestamptz '2026-02-01 06:00:00+00' + i * interval '1 hour', timestamptz '2026-04-01 06:00:00+00' + i * interval '1 hour'
  FROM generate_series(1, current_setting('demo.workstreams')::int) AS i
  LEFT JOIN (SELECT workstream_id, count(*) AS messages FROM messages GROUP BY workstream_id) AS sent ON sent.workstream_id = md5('workstream' || i)::uuid
 ORDER BY i;

INSERT INTO tasks (id, workstream_id, parent_id, title, description, status, labels, estimate, event_count, detail, created_at, updated_at, completed_at)
SELECT md5('task' || i)::uuid, md5('workstream' || 1 + i % current_setting('demo.workstreams')::int)::uuid,
       CASE WHEN i % 7 = 0 THEN md5('task' || i / 7)::uuid END,
       format('Task %s: %s', i, (ARRAY['write it', 'test it', 'measure it', 'document it', 'delete it'])[1 + i % 5]),
       CASE WHEN i % 10 > 0 THEN format(E'Done when:\n1. the check on %s passes\n2. nobody has to remember it', 'repo-' || 1 + i % 70) END,
       (enum_range(NULL::task_status))[1 + i % 6], CASE i % 4 WHEN 0 THEN '{}' WHEN 1 THEN '{small}' ELSE '{debt,"needs review",\\\\}' END::text[],
       i % 40 * interval '45 minutes', coalesce(seen.events, 0), jsonb_build_object('source', 'import', 'row', i, 'weight', i / 8.0),
       timestamptz '2026-02-01 06:00:00+00' + i * interval '20 minutes', timestamptz '2026-05-01 06:00:00+00' + i * interval '9 minutes',
       CASE WHEN i % 6 = 4 THEN timestamptz '2026-05-01 06:00:00+00' + i * interval '8 minutes' END
  FROM generate_series(1, current_setting('demo.tasks')::int) AS i
  LEFT JOIN (SELECT task_id, count(*) AS events FROM progress_events GROUP BY task_id) AS seen ON seen.task_id = md5('task' || i)::uuid
 ORDER BY i;

INSERT INTO decisions (id, workstream_id, title, status, rationale, options, superseded_by, decided_at)
SELECT md5('decision' || i)::uuid, md5('workstream' || 1 + i % current_setting('demo.workstreams')::int)::uuid,
       format('Decision %s: keep the format plain', i), (enum_range(NULL::decision_status))[1 + i % 4],
       -- A few long texts, so that TOAST tables hold something.
       (SELECT string_agg(format('%s. Option %s costs %s hours and was measured as %s.', n, n % 3, i * n % 97, md5(i * 1000 + n || '')), E'\n' ORDER BY n)
          FROM generate_series(1, CASE WHEN i % 20 = 0 THEN 180 ELSE 2 + i % 5 END) AS n),
       jsonb_build_array(jsonb_build_object('name', 'keep', 'cost', i % 9), jsonb_build_object('name', 'change', 'cost', NULL)),
       CASE WHEN i % 4 = 3 AND i > 1 THEN md5('decision' || i - 1)::uuid END, CASE WHEN i % 4 > 0 THEN timestamptz '2026-03-01 12:00:00+00' + i * interval '2 hours' END
  FROM generate_series(1, current_setting('demo.decisions')::int) AS i;

INSERT INTO sbom_snapshots (id, repo_id, tool, document, digest, component_count, taken_at)
SELECT md5('snapshot' || i)::uuid, md5('repo' || 1 + i % 70)::uuid, 'sbom-scan 1.' || i % 4,
       format('{"bomFormat": "CycloneDX",  "specVersion": "1.5", "serialNumber": "%s", "components": [%s]}', md5('snapshot' || i)::uuid,
           (SELECT string_agg(format('{"type": "library", "name": "component-%s", "version": "%s.%s.0", "hash": "%s"}', n, i % 5, n % 30, md5(i * 1000 + n || 'c')), ', ' ORDER BY n)
              FROM generate_series(1, 40 + i % 50) AS n))::json,
       decode(md5('digest' || i), 'hex'), 120 + i % 120, timestamptz '2026-02-02 03:00:00+00' + i * interval '8 hours'
  FROM generate_series(1, current_setting('demo.snapshots')::int) AS i;

INSERT INTO sbom_entries (snapshot_id, ecosystem, name, version, licence, direct)
SELECT md5('snapshot' || i)::uuid, (ARRAY['cargo', 'pypi', 'npm', 'golang'])[1 + i % 4], format('component-%s', (i * 7 + n * 13) % 1700),
       format('%s.%s.%s', n % 4, (i + n) % 30, n % 11), (ARRAY['MIT', 'Apache-2.0', 'MIT OR Apache-2.0', 'BSD-3-Clause', NULL])[1 + n % 5], n < 20
  FROM generate_series(1, current_setting('demo.snapshots')::int) AS i, generate_series(1, 120 + i % 120) AS n
 ORDER BY i, n;

INSERT INTO technical_debt (id, repo_id, title, severity, cost, interest_rate, paths, detail, resolved_at)
SELECT md5('debt' || i)::uuid, CASE WHEN i % 13 > 0 THEN md5('repo' || 1 + i % 70)::uuid END, format('Debt %s: copied code', i),
       (enum_range(NULL::debt_severity))[1 + i % 4], i % 9000 / 7.0, CASE WHEN i % 17 = 0 THEN 'NaN' ELSE 1.0 / i END,
       ARRAY[format('src/module_%s.rs', i % 90), format(E'C:\\legacy\\%s', i % 12)], jsonb_build_object('lines', i * 31 % 2400, 'since', '2026-01'),
       CASE WHEN i % 3 = 0 THEN timestamptz '2026-04-01 00:00:00+00' + i * interval '1 hour' END
  FROM generate_series(1, current_setting('demo.debts')::int) AS i;

INSERT INTO extension_points (id, repo_id, name, contract, stability, versions)
SELECT md5('point' || i)::uuid, md5('repo' || 1 + i % 70)::uuid, format('hook.%s', i), format('{"input": "event", "retries": %s,  "input": "overridden"}', i % 4)::json,
       (ARRAY['experimental', 'stable', 'frozen'])[1 + i % 3], CASE WHEN i % 5 = 0 THEN int4range(i % 3, NULL) ELSE int4range(i % 3, i % 3 + i % 4) END
  FROM generate_series(1, current_setting('demo.points')::int) AS i;

INSERT INTO contributions (id, repo_id, upstream, url, state, submitted_at, merged_at, detail)
SELECT md5('contribution' || i)::uuid, md5('repo' || 1 + i % 70)::uuid, 'upstream-' || i % 25, format('https://forge.example/upstream-%s/pulls/%s', i % 25, i),
       (ARRAY['draft', 'submitted', 'merged', 'declined'])[1 + i % 4], CASE WHEN i % 4 > 0 THEN timestamptz '2026-02-10 10:00:00+00' + i * interval '3 hours' END,
       CASE WHEN i % 4 = 2 THEN timestamptz '2026-02-20 10:00:00+00' + i * interval '3 hours' END, jsonb_build_object('reviewers', i % 5, 'signed', true)
  FROM generate_series(1, current_setting('demo.contributions')::int) AS i;

ALTER TABLE tasks ADD PRIMARY KEY (id), ADD UNIQUE (number),
    ADD FOREIGN KEY (workstream_id) REFERENCES workstreams ON DELETE SET NULL,
    ADD FOREIGN KEY (parent_id) REFERENCES tasks ON DELETE SET NULL;
ALTER TABLE decisions ADD FOREIGN KEY (superseded_by) REFERENCES decisions ON DELETE SET NULL;
ALTER TABLE progress_events ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (task_id) REFERENCES tasks ON DELETE SET NULL,
    ADD FOREIGN KEY (workstream_id) REFERENCES workstreams ON DELETE SET NULL;
ALTER TABLE sbom_entries ADD PRIMARY KEY (id), ADD FOREIGN KEY (snapshot_id) REFERENCES sbom_snapshots ON DELETE CASCADE;
ALTER TABLE messages ADD FOREIGN KEY (workstream_id) REFERENCES workstreams ON DELETE SET NULL,
    ADD FOREIGN KEY (event_id) REFERENCES progress_events ON DELETE SET NULL;
ALTER TABLE token_events ADD PRIMARY KEY (id), ADD FOREIGN KEY (event_id) REFERENCES progress_events ON DELETE SET NULL;

CREATE INDEX tasks_open ON tasks (workstream_id, status) WHERE status NOT IN ('done', 'cancelled');
CREATE INDEX progress_events_task ON progress_events (task_id);
CREATE INDEX progress_events_recent ON progress_events (created_at DESC) INCLUDE (kind);
CREATE INDEX progress_events_detail ON progress_events USING gin (detail jsonb_path_ops);
CREATE INDEX sbom_entries_name ON sbom_entries (lower(name), version);
CREATE INDEX messages_workstream ON messages (workstream_id, sent_at);
CREATE INDEX token_events_event ON token_events (event_id);

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE FUNCTION refuse_rewriting_history() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'progress events are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER topics_touch BEFORE UPDATE ON topics FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER workstreams_touch BEFORE UPDATE ON workstreams FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER tasks_touch BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER progress_events_history BEFORE DELETE OR UPDATE OF kind, summary, detail, tokens, created_at ON progress_events
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting_history();

CREATE VIEW open_workstreams AS
SELECT w.id, w.slug, w.title, w.status, w.priority, t.slug AS topic, d.slug AS domain
  FROM workstreams AS w LEFT JOIN topics AS t ON t.id = w.topic_id LEFT JOIN domains AS d ON d.id = t.domain_id
 WHERE w.status IN ('planned', 'active', 'blocked');

-- What every writer keeps in one transaction. A copy whose tables were read at different times, with writes committed
-- between them, breaks the lines that tie tables together, even when every single table is plausible. A torn copy
-- of an idle hub cannot be told apart: it is equal to a good one.
CREATE VIEW hub_invariants (name, holds) AS
SELECT 'tasks.event_count is the number of their progress_events',
       NOT EXISTS (SELECT FROM tasks AS t LEFT JOIN (SELECT task_id, count(*) AS n FROM progress_events GROUP BY task_id) AS e ON e.task_id = t.id
                    WHERE t.event_count <> coalesce(e.n, 0))
UNION ALL
SELECT 'workstreams.message_count is the number of their messages',
       NOT EXISTS (SELECT FROM workstreams AS w LEFT JOIN (SELECT workstream_id, count(*) AS n FROM messages GROUP BY workstream_id) AS m ON m.workstream_id = w.id
                    WHERE w.message_count <> coalesce(m.n, 0))
UNION ALL
SELECT 'token_events sum up to zero', (SELECT coalesce(sum(amount), 0) = 0 FROM token_events)
UNION ALL
SELECT 'tokens of progress_events are booked in token_events',
       (SELECT coalesce(sum(tokens), 0) FROM progress_events) = (SELECT coalesce(sum(amount), 0) FROM token_events WHERE account = 'session');

CREATE MATERIALIZED VIEW domain_summary AS
SELECT d.slug AS domain, count(DISTINCT w.id) AS workstreams, count(t.id) AS tasks, coalesce(sum(t.event_count), 0) AS events
  FROM domains AS d LEFT JOIN topics AS p ON p.domain_id = d.id LEFT JOIN workstreams AS w ON w.topic_id = p.id LEFT JOIN tasks AS t ON t.workstream_id = w.id
 GROUP BY d.slug;
CREATE UNIQUE INDEX domain_summary_domain ON domain_summary (domain);

COMMENT ON TABLE progress_events IS 'What happened, in order. Append-only: rows are never changed or deleted.';
COMMENT ON COLUMN progress_events.created_at IS 'Set by the server; it does not survive a replay through the API.';
COMMENT ON COLUMN tasks.event_count IS 'Number of progress_events of this task, kept by whoever inserts one.';
COMMENT ON TABLE token_events IS 'A ledger: the amounts of all rows sum up to zero.';
COMMENT ON VIEW hub_invariants IS 'All of them hold at every single point in time; a copy torn across committed writes breaks them.';
COMMENT ON TYPE event_kind IS 'Why a progress event was written';

COMMIT;

ANALYZE;
