"""The column store of TimescaleDB Community: complete chunks go there, and are packed again when it is worth it."""

from datetime import datetime, timedelta

from jelmon_store.maintenance.partitions import COMPLETE_AFTER, Connection

_JOINED = timedelta(hours=4)
"""How many hours of samples become one chunk: ``compress_chunk_time_interval`` in the schema."""
_CHUNKS = """
SELECT format('%%I.%%I', c.schema_name, c.table_name)::regclass::text AS chunk, i.hypertable_name, i.range_start,
    i.range_end, c.status
FROM timescaledb_information.chunks i
JOIN _timescaledb_catalog.chunk c ON c.schema_name = i.chunk_schema AND c.table_name = i.chunk_name
WHERE (i.hypertable_schema, i.hypertable_name) IN (
    SELECT 'jelmore', unnest(ARRAY['samples', 'samples_kept']) UNION ALL
    SELECT materialization_hypertable_schema, materialization_hypertable_name
    FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'jelmore'
)
"""
_IS_COMPRESSED, _IS_PARTIAL = 1, 8  # bits of the status of a chunk


def compress_complete(connection: Connection, now: datetime) -> int:
    """Move complete chunks of samples and rollups to the column store; return how many."""
    return _each(
        connection,
        f"SELECT chunk FROM ({_CHUNKS}) c WHERE status & %s = 0 AND range_end <= %s ORDER BY range_end",
        (_IS_COMPRESSED, now - COMPLETE_AFTER),
        "SELECT compress_chunk(%s::regclass, if_not_compressed => true)",
    )


def pack_joined(connection: Connection) -> int:
    """Fill the batches of chunks that have been joined from several hours; return how many chunks."""
    return _each(
        connection,
        f"SELECT chunk FROM ({_CHUNKS}) c WHERE status & %s <> 0 AND hypertable_name = 'samples' "
        "AND range_end - range_start >= %s AND chunk::regclass NOT IN (SELECT chunk FROM jelmore.packed_chunks) "
        "ORDER BY range_end",
        (_IS_COMPRESSED, _JOINED),
        "WITH packed AS (SELECT compress_chunk(%s::regclass, recompress => true) AS chunk) "
        "INSERT INTO jelmore.packed_chunks SELECT chunk FROM packed",
    )


def pack_late(connection: Connection) -> int:
    """Put rows that came late, and lie beside the column store of their chunk, into it; return how many chunks."""
    connection.execute("DELETE FROM jelmore.packed_chunks WHERE chunk NOT IN (SELECT oid FROM pg_class)")
    return _each(
        connection,
        f"SELECT chunk FROM ({_CHUNKS}) c WHERE status & %s <> 0 ORDER BY range_end",
        (_IS_PARTIAL,),
        "SELECT compress_chunk(%s::regclass)",
    )


def _each(connection: Connection, query: str, parameters: tuple[object, ...], statement: str) -> int:
    chunks = connection.execute(query, parameters).fetchall()
    for chunk in chunks:
        connection.execute(statement, chunk)
    return len(chunks)
