"""PromQL on its own: analysing expressions, the small language of signals, which Prometheus supports what."""
