"""Jelmore performance monitoring: exporter, analyzers, rules compiler, store and responder."""


def __getattr__(name: str) -> str:
    """``__version__``, when asked for: looking it up takes longer than all else that a short command imports."""
    if name == "__version__":
        from importlib.metadata import version

        return version("jelmon")
    raise AttributeError(f"module 'jelmon' has no attribute {name!r}")
