-- The data of a service in use: topics, tasks, and $events events of about 350 bytes, always the same.

INSERT INTO topics (slug, title)
SELECT 'topic-' || n, 'Topic ' || n FROM generate_series(1, 20) n;

INSERT INTO tasks (topic_id, title, status, detail)
SELECT t.id, 'Task ' || n || ' of ' || t.slug,
       (ARRAY['todo', 'in_progress', 'blocked', 'done', 'cancelled'])[1 + n % 5]::task_status,
       jsonb_build_object('number', n, 'labels', jsonb_build_array('move', n % 7))
  FROM topics t, generate_series(1, greatest(1, $events / 400)) n;

INSERT INTO progress_events (topic_id, kind, agent, summary, detail)
SELECT t.id, (ARRAY['note', 'commit', 'status_change'])[1 + n % 3], 'agent-' || n % 11, 'Step ' || n,
       jsonb_build_object('session', md5(n::text), 'digest', md5('d' || n) || md5('e' || n), 'tokens', n * 7919 % 50000)
  FROM generate_series(1, $events) n
  JOIN topics t ON t.slug = 'topic-' || (1 + n % 20);

ANALYZE;
