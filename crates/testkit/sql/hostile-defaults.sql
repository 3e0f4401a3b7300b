-- Settings of the database that change how values are printed. A dump that does not pin its session's settings
-- comes out different, or loses digits. They hold for sessions that connect from now on.
DO $$
DECLARE
    setting text;
BEGIN
    FOREACH setting IN ARRAY ARRAY[
        'bytea_output = escape', 'DateStyle = ''SQL, DMY''', 'IntervalStyle = sql_standard', 'extra_float_digits = -3',
        'TimeZone = ''Asia/Kolkata''', 'xmlbinary = hex', 'quote_all_identifiers = on', 'search_path = zoo, pg_catalog',
        'standard_conforming_strings = off', 'array_nulls = off', 'lc_monetary = ''C.UTF-8''', 'statement_timeout = ''1min''', 'default_transaction_isolation = serializable', 'row_security = on']
    LOOP
        EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
    END LOOP;
END
$$;
