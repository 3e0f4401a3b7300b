-- What PostgreSQL 18 brought, for a database with the zoo.
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL search_path = pg_catalog;

CREATE TABLE zoo.generated_virtually (
    id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) VIRTUAL CONSTRAINT never_null NOT NULL, thrice integer GENERATED ALWAYS AS (id * 3) STORED,
    note text GENERATED ALWAYS AS ('it''s \ ' || id), CONSTRAINT loose CHECK (id > 100) NOT ENFORCED, CONSTRAINT of_virtual CHECK (twice < 1000)
);
INSERT INTO zoo.generated_virtually VALUES (1), (2);
CREATE TABLE zoo.only_virtual (g integer GENERATED ALWAYS AS (42) VIRTUAL);
INSERT INTO zoo.only_virtual DEFAULT VALUES;
INSERT INTO zoo.only_virtual DEFAULT VALUES;
CREATE TABLE zoo.virtual_partitions (id integer, twice integer GENERATED ALWAYS AS (id * 2)) PARTITION BY RANGE (id);
CREATE TABLE zoo.virtual_partitions_1 PARTITION OF zoo.virtual_partitions (twice GENERATED ALWAYS AS (id * 20)) FOR VALUES FROM (1) TO (100);
INSERT INTO zoo.virtual_partitions VALUES (1), (2);

CREATE TABLE zoo.periods (id int4range, valid daterange, other int4range, PRIMARY KEY (id, valid WITHOUT OVERLAPS), CONSTRAINT other_periods UNIQUE (other, valid WITHOUT OVERLAPS));
INSERT INTO zoo.periods VALUES ('[1,2)', '[2024-01-01,2024-02-01)', NULL), ('[1,2)', '[2024-02-01,2024-03-01)', '[7,8)');
CREATE TABLE zoo.periods_child (id int4range, valid daterange, FOREIGN KEY (id, PERIOD valid) REFERENCES zoo.periods (id, PERIOD valid));
INSERT INTO zoo.periods_child VALUES ('[1,2)', '[2024-01-15,2024-02-15)');

-- Rows that break a constraint which is not enforced, or was never validated: it must stay that way.
CREATE TABLE zoo.not_enforced (id integer PRIMARY KEY, hen_id integer CONSTRAINT nobody_looks REFERENCES zoo.hen ON DELETE CASCADE NOT ENFORCED, egg_id integer CONSTRAINT later REFERENCES zoo.egg DEFERRABLE INITIALLY DEFERRED NOT ENFORCED);
INSERT INTO zoo.not_enforced VALUES (1, 99, 99);
CREATE TABLE zoo.unproven_partitions (id integer, hen_id integer) PARTITION BY RANGE (id);
CREATE TABLE zoo.unproven_partitions_1 PARTITION OF zoo.unproven_partitions FOR VALUES FROM (1) TO (100);
INSERT INTO zoo.unproven_partitions VALUES (1, 99);
ALTER TABLE zoo.unproven_partitions ADD CONSTRAINT hen FOREIGN KEY (hen_id) REFERENCES zoo.hen NOT VALID;

CREATE TABLE zoo.named_not_null (id integer CONSTRAINT "must ""be""" NOT NULL, note text, here text CONSTRAINT here_only NOT NULL NO INHERIT, "Other" text NOT NULL);
INSERT INTO zoo.named_not_null VALUES (1, NULL, '', '');
ALTER TABLE zoo.named_not_null ADD CONSTRAINT never_checked NOT NULL note NOT VALID;
CREATE TABLE zoo.heir_of_not_null (own integer CONSTRAINT own_rule NOT NULL, CONSTRAINT in_the_child NOT NULL "Other") INHERITS (zoo.named_not_null);
INSERT INTO zoo.heir_of_not_null VALUES (1, 'x', NULL, 'x', 1);
COMMENT ON CONSTRAINT "must ""be""" ON zoo.named_not_null IS 'a name of its own';
COMMENT ON CONSTRAINT never_checked ON zoo.named_not_null IS 'never checked';

CREATE COLLATION zoo.unicode_fast (PROVIDER = builtin, LOCALE = 'PG_UNICODE_FAST');
CREATE TABLE zoo.folded (id uuid PRIMARY KEY DEFAULT uuidv7(), word text COLLATE zoo.unicode_fast) WITH (autovacuum_vacuum_max_threshold = 77, vacuum_truncate = false);
CREATE UNIQUE INDEX folded_word ON zoo.folded (casefold(word));
INSERT INTO zoo.folded VALUES ('00000000-0000-7000-8000-000000000000', U&'Stra\00DFe');
CREATE FUNCTION zoo.old_and_new(wanted integer) RETURNS TABLE (before text, after text) LANGUAGE sql
BEGIN ATOMIC
    UPDATE zoo.authenticated SET by_whom = 'changed' WHERE id = wanted RETURNING WITH (OLD AS o, NEW AS n) o.by_whom, n.by_whom;
END;
CREATE PUBLICATION zoo_generated FOR TABLE zoo.generated_virtually WITH (publish = 'insert', publish_generated_columns = stored);
-- After the large objects that are there: they keep what they have.
ALTER DEFAULT PRIVILEGES FOR ROLE CURRENT_USER GRANT SELECT ON LARGE OBJECTS TO zoo_reader;
SELECT lo_from_bytea(4200018, 'made with privileges'::bytea);

COMMIT;
