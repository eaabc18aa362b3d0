"""The store: Prometheus remote write and remote read over TimescaleDB. Not built yet; its metrics are declared."""
