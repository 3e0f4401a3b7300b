-- What PostgreSQL 15 brought, for a database with the zoo.
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL search_path = pg_catalog;

CREATE TABLE zoo.nulls_not_distinct (id integer PRIMARY KEY, a integer, b integer, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO zoo.nulls_not_distinct VALUES (1, NULL, 1), (2, NULL, 2);
CREATE TABLE zoo.set_null_some (id integer PRIMARY KEY, region text COLLATE "C", number integer, FOREIGN KEY (region, number) REFERENCES zoo.by_list ON DELETE SET NULL (number));
CREATE VIEW zoo.as_invoker WITH (security_invoker = true) AS SELECT id FROM zoo.hen;
CREATE TABLE zoo.negative_scale (id integer PRIMARY KEY, thousands numeric(3, -3), tiny numeric(2, 5));
INSERT INTO zoo.negative_scale VALUES (1, 123456, 0.00012);
CREATE UNLOGGED SEQUENCE zoo.unlogged_sequence;
CREATE PUBLICATION zoo_filtered FOR TABLE zoo.booking (id, room) WHERE (id > 1 AND room <> 'it''s') WITH (publish = 'insert');
CREATE PUBLICATION zoo_schema FOR TABLES IN SCHEMA zoo_empty;

COMMIT;
