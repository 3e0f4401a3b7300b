-- The roles that zoo.sql needs. May be run again, and by several sessions at once, on the same server.
DO $$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['zoo_owner', 'zoo_reader', 'Zoo Odd'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;                                                       -- another session was faster
        END;
    END LOOP;
END
$$;
