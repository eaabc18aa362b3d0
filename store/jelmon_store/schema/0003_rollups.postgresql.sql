-- Rollups of 5 minutes, 1 hour and 1 day, and what the maintenance job needs. On TimescaleDB Community they are
-- continuous aggregates on a column store; else tables that the job fills.

INSERT INTO jelmore.time_partitioning VALUES
    ('samples_5m', '7 days'),
    ('samples_1h', '28 days'),
    ('samples_1d', '364 days');

-- Hours whose rollups the job has to make again: samples arrived late, or were deleted. Without a key, so that receivers
-- never wait for the job; it deletes the rows that it has seen.
CREATE TABLE jelmore.rollup_queue (hour timestamptz NOT NULL);

-- How far each task of the maintenance job has come.
CREATE TABLE jelmore.maintenance_progress (
    task text PRIMARY KEY,
    done_until timestamptz NOT NULL
);

-- The increase over values in order of time: a fall is a reset of the counter, which then starts at 0.
CREATE FUNCTION jelmore.counter_increase(samples double precision[]) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    total double precision := 0;
    previous double precision := samples[1];
    sample double precision;
BEGIN
    FOREACH sample IN ARRAY samples LOOP
        total := total + CASE WHEN sample >= previous THEN sample - previous ELSE sample END;
        previous := sample;
    END LOOP;
    RETURN total;
END
$$;

-- The same over consecutive periods, from their first and last values and their own increases.
CREATE FUNCTION jelmore.counter_increase(
    firsts double precision[], lasts double precision[], increases double precision[]
) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    total double precision := 0;
BEGIN
    FOR i IN 1 .. cardinality(firsts) LOOP
        total := total + increases[i];
        IF i > 1 THEN
            total := total + CASE WHEN firsts[i] >= lasts[i - 1] THEN firsts[i] - lasts[i - 1] ELSE firsts[i] END;
        END IF;
    END LOOP;
    RETURN total;
END
$$;

-- Queue hours whose samples have changed; the receiver calls it for late samples.
CREATE FUNCTION jelmore.queue_rollups(times timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO jelmore.rollup_queue
    SELECT DISTINCT date_bin('1 hour', t, '2000-01-01 00:00Z') FROM unnest(times) t
$$;
REVOKE EXECUTE ON FUNCTION jelmore.queue_rollups FROM PUBLIC;

DO $do$
DECLARE
    -- stale markers and other NaN are no values
    real text := $$FILTER (WHERE value <> 'NaN')$$;
    level record;
    base text;
    bucket text;
BEGIN
    IF jelmore.store_flavour() <> 'community' THEN
        FOR level IN SELECT unnest(ARRAY['samples_5m', 'samples_1h', 'samples_1d']) AS name LOOP
            EXECUTE format(
                'CREATE TABLE jelmore.%I (time timestamptz NOT NULL, series_id bigint NOT NULL, '
                'first double precision NOT NULL, last double precision NOT NULL, min double precision NOT NULL, '
                'max double precision NOT NULL, sum double precision NOT NULL, count bigint NOT NULL, '
                'increase double precision NOT NULL, PRIMARY KEY (series_id, time)) PARTITION BY RANGE (time)',
                level.name
            );
        END LOOP;
        RETURN;
    END IF;

    SELECT format('%I.time_bucket', n.nspname) INTO STRICT bucket
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb';
    ALTER TABLE jelmore.samples
        SET (timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'time');
    ALTER TABLE jelmore.samples_kept
        SET (timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'time');

    FOR base IN SELECT unnest(ARRAY['samples', 'samples_kept']) LOOP
        EXECUTE format(
            'CREATE MATERIALIZED VIEW jelmore.%3$I '
            'WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS '
            'SELECT %1$s(interval ''5 minutes'', time) AS time, series_id, '
            '(array_agg(value ORDER BY time) %2$s)[1] AS first, '
            '(array_agg(value ORDER BY time) %2$s)[count(*) %2$s] AS last, '
            'min(value) %2$s AS min, max(value) %2$s AS max, sum(value) %2$s AS sum, count(*) %2$s AS count, '
            'jelmore.counter_increase(array_agg(value ORDER BY time) %2$s) AS increase '
            'FROM jelmore.%4$I GROUP BY 1, 2 HAVING count(*) %2$s > 0 WITH NO DATA',
            bucket, real, 'rollup_' || base || '_5m', base
        );
        FOR level IN
            SELECT * FROM (VALUES ('_5m', '_1h', '1 hour'), ('_1h', '_1d', '1 day')) AS levels (source, name, width)
        LOOP
            EXECUTE format(
                'CREATE MATERIALIZED VIEW jelmore.%2$I '
                'WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS '
                'SELECT %1$s(interval %4$L, time) AS time, series_id, '
                '(array_agg(first ORDER BY time))[1] AS first, (array_agg(last ORDER BY time))[count(*)] AS last, '
                'min(min) AS min, max(max) AS max, sum(sum) AS sum, sum(count)::bigint AS count, '
                'jelmore.counter_increase(array_agg(first ORDER BY time), array_agg(last ORDER BY time), '
                'array_agg(increase ORDER BY time)) AS increase '
                'FROM jelmore.%3$I GROUP BY 1, 2 WITH NO DATA',
                bucket, 'rollup_' || base || level.name, 'rollup_' || base || level.source, level.width
            );
        END LOOP;
    END LOOP;
    FOR base IN SELECT unnest(ARRAY['_5m', '_1h', '_1d']) LOOP
        EXECUTE format(
            'CREATE VIEW jelmore.%I AS SELECT * FROM jelmore.%I UNION ALL SELECT * FROM jelmore.%I',
            'samples' || base, 'rollup_samples' || base, 'rollup_samples_kept' || base
        );
    END LOOP;
END
$do$;

-- Tables differ now: on TimescaleDB Apache the rollups are natively partitioned. And two sessions that make the same
-- partition at the same time both succeed.
CREATE OR REPLACE FUNCTION jelmore.ensure_partitions(name text, times timestamptz[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step interval;
    low timestamptz;
    partition text;
    made int := 0;
BEGIN
    SELECT p.width INTO STRICT step FROM jelmore.time_partitioning p WHERE p.table_name = name;
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass(format('jelmore.%I', name))) <> 'p' THEN
        RETURN 0;
    END IF;
    FOR low IN SELECT DISTINCT date_bin(step, t, '2000-01-01 00:00Z') FROM unnest(times) t ORDER BY 1 LOOP
        partition := name || '_' || to_char(low AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MI');
        CONTINUE WHEN to_regclass(format('jelmore.%I', partition)) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(x'6a656c6d6f726502'::bigint);
        -- a query, because to_regclass may not see yet what another session has just committed
        PERFORM FROM pg_class WHERE relname = partition AND relnamespace = 'jelmore'::regnamespace;
        CONTINUE WHEN FOUND;
        EXECUTE format('CREATE TABLE jelmore.%I (LIKE jelmore.%I INCLUDING ALL)', partition, name);
        EXECUTE format(
            'ALTER TABLE jelmore.%I ATTACH PARTITION jelmore.%I FOR VALUES FROM (%L) TO (%L)',
            name, partition, low, low + step
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

DO $$
BEGIN
    IF to_regrole('jelmore_reader') IS NOT NULL THEN
        GRANT SELECT ON jelmore.samples_5m, jelmore.samples_1h, jelmore.samples_1d, jelmore.maintenance_progress,
            jelmore.rollup_queue TO jelmore_reader;
    END IF;
    IF to_regrole('jelmore_writer') IS NOT NULL THEN
        GRANT SELECT ON jelmore.samples_5m, jelmore.samples_1h, jelmore.samples_1d TO jelmore_writer;
        GRANT EXECUTE ON FUNCTION jelmore.queue_rollups TO jelmore_writer;
    END IF;
END
$$;
