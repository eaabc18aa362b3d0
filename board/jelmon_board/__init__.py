"""The board: live pages and reports about pipelines, for a machine without Grafana."""
