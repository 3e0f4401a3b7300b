-- Rows that change their partition when they are restored: the hash of an enum value depends on its oid.
-- Loaded leaf by leaf such a dump fails or is refused; loaded through the root every row arrives, but the
-- leaves hold other rows than before. Only the partitioned table as a whole can be compared.
CREATE SCHEMA enum_hash;
CREATE TYPE enum_hash.mood AS ENUM ('sad', 'so so', 'ok', 'happy', 'silly', 'bored');
CREATE TABLE enum_hash.moods (mood enum_hash.mood, id integer) PARTITION BY HASH (mood);
CREATE TABLE enum_hash.moods_0 PARTITION OF enum_hash.moods FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE enum_hash.moods_1 PARTITION OF enum_hash.moods FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE enum_hash.moods_2 PARTITION OF enum_hash.moods FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO enum_hash.moods SELECT (enum_range(NULL::enum_hash.mood))[1 + i % 6], i FROM generate_series(1, 60) AS i;
INSERT INTO enum_hash.moods VALUES (NULL, 0);
