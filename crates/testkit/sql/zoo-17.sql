-- What PostgreSQL 17 brought, for a database with the zoo.
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL search_path = pg_catalog;

INSERT INTO zoo.times (id, span) VALUES (9, 'infinity'), (10, '-infinity');
CREATE TABLE zoo.identity_partitions (id integer GENERATED ALWAYS AS IDENTITY, note text) PARTITION BY RANGE (id);
CREATE TABLE zoo.identity_partitions_1 PARTITION OF zoo.identity_partitions FOR VALUES FROM (1) TO (100);
INSERT INTO zoo.identity_partitions (note) VALUES ('a'), ('b');
CREATE TABLE zoo.excluding_partitions (id integer, note text, CONSTRAINT one_each EXCLUDE USING btree (id WITH =, note WITH =)) PARTITION BY RANGE (id);
CREATE TABLE zoo.excluding_partitions_1 PARTITION OF zoo.excluding_partitions FOR VALUES FROM (1) TO (100);
INSERT INTO zoo.excluding_partitions VALUES (1, 'a'), (1, 'b');
CREATE TABLE zoo.own_access_partitions (id integer) PARTITION BY LIST (id) USING zoo_heap;
CREATE TABLE zoo.own_access_partitions_1 PARTITION OF zoo.own_access_partitions FOR VALUES IN (1);
INSERT INTO zoo.own_access_partitions VALUES (1);
CREATE VIEW zoo.json_17 AS SELECT d.id, j.*, JSON_EXISTS(as_tree, '$.a ? (@ > $x)' PASSING 1 AS x TRUE ON ERROR) AS has, JSON_VALUE(as_tree, '$.a' RETURNING integer DEFAULT 7 ON EMPTY ERROR ON ERROR) AS single,
    JSON_QUERY(as_tree, 'lax $[*]' WITH CONDITIONAL WRAPPER KEEP QUOTES EMPTY ARRAY ON EMPTY) AS several
    FROM zoo.documents AS d, JSON_TABLE(as_tree, '$[*]' AS root COLUMNS (n FOR ORDINALITY, a text PATH '$.a' DEFAULT 'it''s' ON EMPTY, has_b boolean EXISTS PATH '$.b', NESTED PATH '$.list[*]' AS inside COLUMNS (x jsonb FORMAT JSON PATH '$'))) AS j;
CREATE FUNCTION zoo.merge_and_tell() RETURNS TABLE (what text, id integer) LANGUAGE sql
BEGIN ATOMIC
    MERGE INTO zoo.hen AS t USING zoo.egg AS s ON t.id = s.hen_id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), t.id;
END;
CREATE COLLATION zoo.of_the_server (PROVIDER = builtin, LOCALE = 'C.UTF-8');
CREATE TABLE zoo.sorted_by_server (word text COLLATE zoo.of_the_server PRIMARY KEY, upper_word text GENERATED ALWAYS AS (upper(word COLLATE zoo.of_the_server)) STORED);
INSERT INTO zoo.sorted_by_server VALUES ('a'), ('B'), (U&'\00E9');
CREATE EVENT TRIGGER zoo_login ON login EXECUTE FUNCTION zoo.watch_ddl();
GRANT MAINTAIN ON zoo.hen TO zoo_reader WITH GRANT OPTION;
REVOKE MAINTAIN ON zoo.booking FROM zoo_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner GRANT MAINTAIN ON TABLES TO zoo_reader;

COMMIT;
