"""Metrics that the exporter gathers itself: host, probes of services, installed collectors."""
