-- Series and samples. The tables are hypertables where the extension timescaledb exists in this database, else
-- natively partitioned; ``jelmore.store_flavour()`` says which.

CREATE TABLE jelmore.metrics (
    metric_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    type text,
    unit text,
    help text,
    retention_class smallint NOT NULL DEFAULT 0
);

CREATE TABLE jelmore.series (
    series_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL DEFAULT '',
    metric_id int NOT NULL REFERENCES jelmore.metrics,
    labels jsonb NOT NULL,       -- without __name__
    fingerprint bytea NOT NULL,  -- 16-byte hash of all labels in sorted order, with __name__
    UNIQUE (tenant, fingerprint)
);
CREATE INDEX series_metric ON jelmore.series (metric_id);
CREATE INDEX series_labels ON jelmore.series USING gin (labels jsonb_path_ops);

-- The width of a partition or chunk. The receiver and the maintenance job read it.
CREATE TABLE jelmore.time_partitioning (
    table_name text PRIMARY KEY,
    width interval NOT NULL
);
INSERT INTO jelmore.time_partitioning VALUES
    ('samples', '1 hour'),
    -- samples of metrics that are kept longer than the others
    ('samples_kept', '1 day'),
    ('histograms', '1 day'),
    ('exemplars', '1 day');

-- Which kind of tables this database has: 'postgresql' (native partitions), 'apache' or 'community' (hypertables).
CREATE FUNCTION jelmore.store_flavour() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN (SELECT relkind FROM pg_class WHERE oid = to_regclass('jelmore.samples')) = 'p' THEN 'postgresql'
        WHEN current_setting('timescaledb.license', true) = 'timescale' THEN 'community'
        ELSE 'apache'
    END
$$;

DO $do$
DECLARE
    extension_schema text := (
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
    );
    partitioned text := CASE WHEN extension_schema IS NULL THEN 'PARTITION BY RANGE (time)' ELSE '' END;
    part record;
BEGIN
    -- No unique key on samples: it halves the speed of writing, and the receiver excludes duplicates.
    EXECUTE 'CREATE TABLE jelmore.samples (time timestamptz NOT NULL, series_id bigint NOT NULL, '
        'value double precision NOT NULL) ' || partitioned;
    EXECUTE 'CREATE TABLE jelmore.samples_kept (time timestamptz NOT NULL, series_id bigint NOT NULL, '
        'value double precision NOT NULL) ' || partitioned;
    -- payload: the histogram's protobuf message as received, without its timestamp changed
    EXECUTE 'CREATE TABLE jelmore.histograms (time timestamptz NOT NULL, series_id bigint NOT NULL, '
        'payload bytea NOT NULL) ' || partitioned;
    EXECUTE 'CREATE TABLE jelmore.exemplars (time timestamptz NOT NULL, series_id bigint NOT NULL, '
        'value double precision NOT NULL, labels jsonb NOT NULL) ' || partitioned;

    IF extension_schema IS NOT NULL THEN
        FOR part IN SELECT * FROM jelmore.time_partitioning LOOP
            EXECUTE format(
                'SELECT %1$I.create_hypertable(%2$L::regclass, %1$I.by_range(''time'', %3$L::interval), '
                'create_default_indexes => false)',
                extension_schema, 'jelmore.' || part.table_name, part.width
            );
        END LOOP;
    END IF;
END
$do$;

-- A BRIN index costs next to nothing while samples arrive in order of time. The index by series and time, or the
-- column store, is made when a partition is complete.
CREATE INDEX samples_time ON jelmore.samples USING brin (time) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX samples_kept_series_time ON jelmore.samples_kept (series_id, time);
CREATE INDEX histograms_series_time ON jelmore.histograms (series_id, time);
CREATE INDEX exemplars_series_time ON jelmore.exemplars (series_id, time);

-- When a counter or histogram was reset or created, as its sender states it: one row for each change.
CREATE TABLE jelmore.series_starts (
    series_id bigint NOT NULL REFERENCES jelmore.series ON DELETE CASCADE,
    start_time timestamptz NOT NULL,
    PRIMARY KEY (series_id, start_time)
);

-- Make the native partitions that hold the given times; call it in a transaction of its own. It does nothing in a
-- database with hypertables. Returns how many it made.
CREATE FUNCTION jelmore.ensure_partitions(name text, times timestamptz[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step interval;
    low timestamptz;
    partition text;
    made int := 0;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('jelmore.samples')) <> 'p' THEN
        RETURN 0;
    END IF;
    SELECT p.width INTO STRICT step FROM jelmore.time_partitioning p WHERE p.table_name = name;
    FOR low IN SELECT DISTINCT date_bin(step, t, '2000-01-01 00:00Z') FROM unnest(times) t ORDER BY 1 LOOP
        partition := name || '_' || to_char(low AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MI');
        CONTINUE WHEN to_regclass(format('jelmore.%I', partition)) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(x'6a656c6d6f726502'::bigint);
        -- not by to_regclass, which may remember that there is none: waiting for the lock does not refresh its cache
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_class c WHERE c.relname = partition AND c.relnamespace = 'jelmore'::regnamespace
        );
        -- attached instead of created as a partition: that takes no lock against readers and writers of the table
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

REVOKE EXECUTE ON FUNCTION jelmore.ensure_partitions FROM PUBLIC;

-- Roles: members of jelmore_writer run the receiver, members of jelmore_reader query. A user who may not create roles
-- migrates without them.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['jelmore_reader', 'jelmore_writer'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN RAISE NOTICE 'role % is missing and this user may not create it', role;
        END;
    END LOOP;
    IF to_regrole('jelmore_reader') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA jelmore TO jelmore_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA jelmore TO jelmore_reader;
    END IF;
    IF to_regrole('jelmore_writer') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA jelmore TO jelmore_writer;
        GRANT SELECT ON ALL TABLES IN SCHEMA jelmore TO jelmore_writer;
        GRANT INSERT, UPDATE ON jelmore.metrics, jelmore.series TO jelmore_writer;
        GRANT INSERT ON jelmore.samples, jelmore.histograms, jelmore.exemplars, jelmore.series_starts
            TO jelmore_writer;
        GRANT EXECUTE ON FUNCTION jelmore.ensure_partitions TO jelmore_writer;
    END IF;
END
$$;
