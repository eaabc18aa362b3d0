"""Where samples go: OpenMetrics files, a server that takes remote write, or blocks of a Prometheus."""
