"""History: the samples that Prometheus would have scraped, from events of the past.

Composes the exporter's counting and the analyzers under one simulated clock.
"""
