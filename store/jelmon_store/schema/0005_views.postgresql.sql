-- SQL for people: a view for each metric with its labels as columns, made on demand, and reports.

-- Make or renew the view jelmore.metric_<name>: raw samples, or those of a rollup (5m, 1h, 1d: jelmore.metric_<name>_1h).
-- Labels that have come since are added behind the others. A label called like a column gets the prefix label_. Returns
-- the name of the view.
CREATE FUNCTION jelmore.metric_view(metric text, rollup text DEFAULT '') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target record;
    source text := 'samples';
    view_name text := 'metric_' || metric;
    figures text := 'd.value';
    taken text[] := ARRAY['time', 'series_id', 'tenant', 'value'];
    present text[];
    columns text := '';
    label text;
    column_name text;
BEGIN
    SELECT metric_id, type, name INTO target FROM jelmore.metrics WHERE name = metric;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no metric %', metric USING ERRCODE = 'undefined_object';
    END IF;
    IF rollup <> '' THEN
        IF rollup NOT IN ('5m', '1h', '1d') THEN
            RAISE EXCEPTION 'there is no rollup %', rollup
                USING ERRCODE = 'invalid_parameter_value', HINT = 'one of 5m, 1h, 1d';
        END IF;
        source := 'samples_' || rollup;
        view_name := view_name || '_' || rollup;
        taken := ARRAY['time', 'series_id', 'tenant', 'first', 'last', 'min', 'max', 'avg', 'count', 'increase'];
        figures := CASE
            WHEN target.type IN ('counter', 'histogram', 'summary') OR metric ~ '_(total|bucket|count|sum)$'
            THEN 'd.first, d.last, d.increase, d.count'
            ELSE 'd.min, d.max, d.sum / d.count AS avg, d.last, d.count'
        END;
    END IF;
    IF octet_length(view_name) > 63 THEN
        view_name := left(view_name, 48) || '_' || left(md5(view_name), 8);
    END IF;
    SELECT coalesce(array_agg(attname::text ORDER BY attnum), '{}') INTO present FROM pg_attribute
    WHERE attrelid = to_regclass(format('jelmore.%I', view_name)) AND attnum > 0 AND NOT attisdropped;
    FOR label, column_name IN
        SELECT key, wanted FROM (
            SELECT key, CASE
                WHEN key = ANY (taken) THEN 'label_' || key
                WHEN octet_length(key) > 63 THEN left(key, 48) || '_' || left(md5(key), 8)
                ELSE key
            END AS wanted
            FROM (SELECT DISTINCT jsonb_object_keys(labels) AS key FROM jelmore.series s
                  WHERE s.metric_id = target.metric_id) k
        ) named
        ORDER BY array_position(present, wanted) NULLS LAST, key
    LOOP
        columns := columns || format(', s.labels ->> %L AS %I', label, column_name);
    END LOOP;
    -- a stale marker is no value; other NaN are
    EXECUTE format(
        'CREATE OR REPLACE VIEW jelmore.%I AS SELECT d.time, d.series_id, s.tenant, %s%s FROM jelmore.series s JOIN %s d '
        'USING (series_id) WHERE s.metric_id = %s',
        view_name, figures, columns,
        CASE WHEN rollup = '' THEN
            '(SELECT * FROM jelmore.samples UNION ALL SELECT * FROM jelmore.samples_kept)'
        ELSE format('jelmore.%I', source) END,
        target.metric_id || CASE WHEN rollup = '' THEN
            E' AND (d.value <> ''NaN'' OR float8send(d.value) <> ''\\x7ff0000000000002''::bytea)'
        ELSE '' END
    );
    IF to_regrole('jelmore_reader') IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON jelmore.%I TO jelmore_reader', view_name);
    END IF;
    RETURN format('jelmore.%I', view_name);
END
$$;

REVOKE EXECUTE ON FUNCTION jelmore.metric_view FROM PUBLIC;

-- What a counter gained in each hour, without its resets, with the step from the hour before. Replicas (instance, pod) show
-- the same, so the largest of them counts.
CREATE FUNCTION jelmore.hourly_increase(metric text) RETURNS TABLE (hour timestamptz, labels jsonb, increase double precision)
LANGUAGE sql STABLE AS $$
    SELECT g.time, s.labels - '{instance,pod}'::text[], max(g.increase)
    FROM (
        SELECT r.time, r.series_id, r.increase + CASE
            WHEN p.last IS NULL THEN 0
            WHEN r.first >= p.last THEN r.first - p.last
            ELSE r.first
        END AS increase
        FROM jelmore.samples_1h r
        LEFT JOIN LATERAL (
            SELECT q.last FROM jelmore.samples_1h q
            WHERE q.series_id = r.series_id AND q.time = r.time - interval '1 hour'
        ) p ON true
        WHERE r.series_id = ANY (ARRAY(
            SELECT series_id FROM jelmore.series JOIN jelmore.metrics USING (metric_id) WHERE name = metric
        ))
    ) g JOIN jelmore.series s USING (series_id)
    GROUP BY 1, 2
$$;

-- The percentile of a classic histogram, as histogram_quantile() of PromQL: linear within a bucket. Bounds ascend and end
-- with infinity; counts are cumulative.
CREATE FUNCTION jelmore.histogram_percentile(
    share double precision, bounds double precision[], counts double precision[]
) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n int := cardinality(bounds);
    rank double precision := share * counts[n];
    low double precision;
    below double precision;
BEGIN
    IF n < 2 OR bounds[n] <> 'Infinity' OR NOT counts[n] > 0 THEN
        RETURN NULL;
    END IF;
    FOR i IN 1 .. n LOOP
        IF counts[i] >= rank THEN
            IF i = n THEN
                RETURN bounds[n - 1];
            END IF;
            IF i = 1 AND bounds[1] <= 0 THEN
                RETURN bounds[1];
            END IF;
            low := CASE WHEN i = 1 THEN 0 ELSE bounds[i - 1] END;
            below := CASE WHEN i = 1 THEN 0 ELSE counts[i - 1] END;
            IF counts[i] = below THEN
                RETURN bounds[i];
            END IF;
            RETURN low + (bounds[i] - low) * (rank - below) / (counts[i] - below);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE VIEW jelmore.report_cards_per_day AS
SELECT (hour AT TIME ZONE 'UTC')::date AS day, labels ->> 'pipeline' AS pipeline, labels ->> 'outcome' AS outcome,
    sum(increase) AS cards
FROM jelmore.hourly_increase('jelmore_cards_finished_total')
GROUP BY 1, 2, 3;
COMMENT ON VIEW jelmore.report_cards_per_day IS 'Cards that were finished, by day (UTC), pipeline and outcome.';

CREATE VIEW jelmore.report_stage_percentiles_per_day AS
SELECT day, pipeline, stage, max(runs) AS runs,
    jelmore.histogram_percentile(0.5, array_agg(bound ORDER BY bound), array_agg(runs ORDER BY bound)) AS p50_seconds,
    jelmore.histogram_percentile(0.9, array_agg(bound ORDER BY bound), array_agg(runs ORDER BY bound)) AS p90_seconds,
    jelmore.histogram_percentile(0.99, array_agg(bound ORDER BY bound), array_agg(runs ORDER BY bound)) AS p99_seconds
FROM (
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, labels ->> 'pipeline' AS pipeline, labels ->> 'stage' AS stage,
        replace(labels ->> 'le', '+Inf', 'Infinity')::double precision AS bound, sum(increase) AS runs
    FROM jelmore.hourly_increase('jelmore_stage_run_seconds_bucket')
    GROUP BY 1, 2, 3, 4
) buckets
GROUP BY 1, 2, 3;
COMMENT ON VIEW jelmore.report_stage_percentiles_per_day IS
    'Runs of a stage and percentiles of their duration in seconds, by day (UTC).';

-- The alert history belongs to the responder and may come later, or never.
CREATE FUNCTION jelmore.repair_times() RETURNS TABLE (
    day date, alertname text, severity text, pipeline text, alerts bigint, mttr_seconds double precision,
    longest_seconds double precision
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('jelmore.alert_history') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT (starts_at AT TIME ZONE ''UTC'')::date, alertname, severity, pipeline, count(*), '
        'avg(extract(epoch FROM ends_at - starts_at))::double precision, '
        'max(extract(epoch FROM ends_at - starts_at))::double precision '
        'FROM jelmore.alert_history WHERE status = ''resolved'' AND closed_by <> ''superseded'' GROUP BY 1, 2, 3, 4';
END
$$;
CREATE VIEW jelmore.report_mttr_per_day AS SELECT * FROM jelmore.repair_times();
COMMENT ON VIEW jelmore.report_mttr_per_day IS
    'Mean time to repair: from the start of an alert to its end, by the day (UTC) it started. Empty without alert history.';

CREATE VIEW jelmore.report_objectives_per_day AS
SELECT day, objective, labels, sum(valid) FILTER (WHERE kind = 'valid') AS valid,
    coalesce(sum(valid) FILTER (WHERE kind = 'bad'), 0) AS bad,
    1 - coalesce(sum(valid) FILTER (WHERE kind = 'bad'), 0) / nullif(sum(valid) FILTER (WHERE kind = 'valid'), 0)
        AS attainment
FROM (
    SELECT (r.time AT TIME ZONE 'UTC')::date AS day, parts[1] AS objective, parts[2] AS kind,
        s.labels - '{instance,pod,job}'::text[] AS labels,
        -- each sample is the count of the last 5 minutes: their mean, times the 5-minute periods of an hour
        sum(r.sum / r.count) * 12 AS valid
    FROM jelmore.samples_1h r JOIN jelmore.series s USING (series_id)
    JOIN (
        SELECT metric_id, regexp_match(name, '^jelmore:slo_(.+)_(valid|bad)_5m$') AS parts FROM jelmore.metrics
    ) m USING (metric_id)
    WHERE parts IS NOT NULL
    GROUP BY 1, 2, 3, 4
) counts
GROUP BY 1, 2, 3;
COMMENT ON VIEW jelmore.report_objectives_per_day IS
    'Service level objectives: valid and bad events (or minutes) by day (UTC), and the share of good ones.';

-- The cost of bottlenecks: the gauge is card-seconds lost in the analysis window (--bottleneck.window) that ends now.
CREATE FUNCTION jelmore.bottleneck_cost(analysis_window interval DEFAULT '15 minutes') RETURNS TABLE (
    day date, pipeline text, stage text, lost_card_hours double precision, hours_observed bigint
)
LANGUAGE sql STABLE AS $$
    -- impact / window is the number of cards that wait at a time, which over an hour are as many card-hours
    SELECT day, pipeline, stage, sum(impact) / extract(epoch FROM analysis_window)::double precision,
        count(*)
    FROM (
        SELECT (r.time AT TIME ZONE 'UTC')::date AS day, r.time, s.labels ->> 'pipeline' AS pipeline,
            s.labels ->> 'stage' AS stage, max(r.sum / r.count) AS impact
        FROM jelmore.samples_1h r JOIN jelmore.series s USING (series_id) JOIN jelmore.metrics m USING (metric_id)
        WHERE m.name = 'jelmore_bottleneck_impact_seconds'
        GROUP BY 1, 2, 3, 4
    ) hours
    GROUP BY 1, 2, 3
$$;
CREATE VIEW jelmore.report_bottleneck_cost_per_day AS SELECT * FROM jelmore.bottleneck_cost();
COMMENT ON VIEW jelmore.report_bottleneck_cost_per_day IS
    'Card-hours lost because of a stage, by day (UTC), for the default analysis window of 15 minutes; else use jelmore.bottleneck_cost(window).';

DO $$
BEGIN
    IF to_regrole('jelmore_reader') IS NOT NULL THEN
        GRANT SELECT ON jelmore.report_cards_per_day, jelmore.report_stage_percentiles_per_day,
            jelmore.report_mttr_per_day, jelmore.report_objectives_per_day, jelmore.report_bottleneck_cost_per_day
            TO jelmore_reader;
        GRANT EXECUTE ON FUNCTION jelmore.metric_view TO jelmore_reader;
    END IF;
END
$$;
