-- One tick of the demo's writer: one transaction, sent as one simple-query message. Several writers may run at once.
--
-- It adds a progress event, a message and a booking of the token ledger, and counts the first two in their task and
-- their workstream. So at every single point in time, and in every faithful copy of one, this returns true:
--
--     SELECT bool_and(holds) FROM hub_invariants;
--
-- 1. tasks.event_count is the number of the task's progress_events.
-- 2. workstreams.message_count is the number of the workstream's messages.
-- 3. The amounts of all token_events sum up to zero.
-- 4. The tokens of all progress_events are the sum of the 'session' amounts of token_events.

BEGIN;

-- Settings local to the transaction stand in for variables.
SELECT set_config('hub.task', t.id::text, true),
       set_config('hub.workstream', t.workstream_id::text, true),
       set_config('hub.event', gen_random_uuid()::text, true),
       set_config('hub.tokens', (1 + floor(random() * 50000))::int::text, true)
  FROM public.tasks AS t
 WHERE t.number = (SELECT 1 + floor(random() * max(number))::int FROM public.tasks);

INSERT INTO public.progress_events (id, task_id, workstream_id, kind, agent, host, summary, detail, tokens)
VALUES (current_setting('hub.event')::uuid, current_setting('hub.task')::uuid, current_setting('hub.workstream')::uuid,
        'session_end', 'agent-demo', 'workstation', 'The writer of the demo is still at work',
        jsonb_build_object('session', gen_random_uuid(), 'model', 'model-small', 'backend', pg_backend_pid()),
        current_setting('hub.tokens')::int);

UPDATE public.tasks
   SET event_count = event_count + 1,
       status = CASE WHEN status = 'todo' THEN 'in_progress' ELSE status END
 WHERE id = current_setting('hub.task')::uuid;

INSERT INTO public.messages (workstream_id, event_id, sender, recipient, subject, body)
VALUES (current_setting('hub.workstream')::uuid, current_setting('hub.event')::uuid,
        'agent-demo', 'all', 'Progress', E'One more step is done.\nSee the event for details.');

UPDATE public.workstreams
   SET message_count = message_count + 1
 WHERE id = current_setting('hub.workstream')::uuid;

INSERT INTO public.token_events (event_id, account, model, amount)
VALUES (current_setting('hub.event')::uuid, 'budget', 'model-small', -current_setting('hub.tokens')::bigint),
       (current_setting('hub.event')::uuid, 'session', 'model-small', current_setting('hub.tokens')::bigint);

COMMIT;
