-- TimescaleDB Community: more samples in a batch of the column store, and rollups in it too. A batch has at most 1,000
-- values of one series; at 15 seconds an hour has 240, so the hours of a chunk are joined to four.
DO $do$
DECLARE
    extension_schema text := (
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
    );
    level record;
BEGIN
    IF jelmore.store_flavour() <> 'community' THEN
        RETURN;
    END IF;
    ALTER TABLE jelmore.samples SET (timescaledb.compress_chunk_time_interval = '4 hours');
    FOR level IN
        SELECT base || name AS name, width
        FROM (VALUES ('_5m', interval '1 day'), ('_1h', interval '14 days'), ('_1d', interval '350 days'))
            AS levels (name, width),
            unnest(ARRAY['rollup_samples', 'rollup_samples_kept']) AS base
    LOOP
        EXECUTE format(
            'ALTER MATERIALIZED VIEW jelmore.%I SET (timescaledb.compress, '
            'timescaledb.compress_segmentby = ''series_id'', timescaledb.compress_orderby = ''time'')',
            level.name
        );
        EXECUTE format(
            'SELECT %I.set_chunk_time_interval(%L::regclass, %L::interval)',
            extension_schema, 'jelmore.' || level.name, level.width
        );
    END LOOP;
END
$do$;

-- Chunks whose hours have been joined, and whose batches were filled up again after that.
CREATE TABLE jelmore.packed_chunks (chunk regclass PRIMARY KEY);

-- When counters and histograms were created or reset, as their senders state.
CREATE VIEW jelmore.restarts AS
SELECT r.start_time, m.name AS metric, s.labels, s.tenant, r.series_id
FROM jelmore.series_starts r JOIN jelmore.series s USING (series_id) JOIN jelmore.metrics m USING (metric_id);

DO $$
BEGIN
    IF to_regrole('jelmore_reader') IS NOT NULL THEN
        GRANT SELECT ON jelmore.packed_chunks, jelmore.restarts TO jelmore_reader;
    END IF;
END
$$;
