"""Pairs of Prometheus servers that scrape the same targets, of which the samples of one are kept."""
