-- What PostgreSQL 16 brought, for a database with the zoo.
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL search_path = pg_catalog;

CREATE VIEW zoo.json_16 AS SELECT id,
    JSON_OBJECT('key; "quoted"' : as_tree, 'other' VALUE id NULL ON NULL WITH UNIQUE KEYS RETURNING jsonb) AS object,
    JSON_ARRAY(id, NULL, 'it''s' NULL ON NULL RETURNING text) AS list, as_text::text IS JSON OBJECT WITH UNIQUE KEYS AS is_object FROM zoo.documents;
CREATE VIEW zoo.json_aggregated AS SELECT JSON_OBJECTAGG(id : as_tree ABSENT ON NULL) AS object, JSON_ARRAYAGG(id ORDER BY id DESC RETURNING jsonb) AS list, any_value(id) AS any_id FROM zoo.documents;
CREATE TABLE zoo.authenticated (id integer PRIMARY KEY, by_whom text DEFAULT SYSTEM_USER, packed text STORAGE EXTERNAL);
INSERT INTO zoo.authenticated VALUES (1, 'somebody', repeat('packed ', 1000));
CREATE FUNCTION zoo.merge_into(wanted integer) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    MERGE INTO zoo.authenticated AS t USING (SELECT wanted AS id) AS s ON t.id = s.id
        WHEN MATCHED AND t.by_whom = 'x;' THEN DELETE WHEN MATCHED THEN UPDATE SET by_whom = CASE WHEN s.id > 1 THEN 'end' END WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id);
END;
DO $zoo$
BEGIN
    CREATE COLLATION zoo.with_rules (PROVIDER = icu, LOCALE = 'und', RULES = '& V << w <<< W');
    CREATE TABLE zoo.sorted_by_rules (word text COLLATE zoo.with_rules PRIMARY KEY);
    INSERT INTO zoo.sorted_by_rules VALUES ('v'), ('w'), ('W');
EXCEPTION WHEN feature_not_supported OR undefined_object THEN
    NULL;                                                                                   -- built without ICU
END
$zoo$;

COMMIT;
