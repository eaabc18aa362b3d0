"""What the board reads: the exporter, the analyzers, Prometheus, Alertmanager and the responder."""
