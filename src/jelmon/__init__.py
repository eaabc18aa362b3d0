"""Jelmore performance monitoring: exporter, analyzers, rules compiler, store and responder."""

from importlib.metadata import version

__version__ = version("jelmon")
