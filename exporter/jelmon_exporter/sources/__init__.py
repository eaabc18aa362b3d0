"""The ways in which facts reach the exporter, one module each."""
