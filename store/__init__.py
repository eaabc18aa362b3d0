"""The store: Prometheus remote write and remote read over TimescaleDB. Not built yet: its metrics stand in the catalogue."""
