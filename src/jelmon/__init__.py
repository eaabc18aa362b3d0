"""Jelmore performance monitoring: exporter, analyzers, rules compiler, store and responder."""

__version__ = "0.1.0"
