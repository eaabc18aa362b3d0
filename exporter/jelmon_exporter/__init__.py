"""The exporter: events, system figures and probes in; ``/metrics`` out."""
