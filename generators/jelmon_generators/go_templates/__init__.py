"""Go templates, as Prometheus and Alertmanager read them: syntax, functions, and what a text refers to."""
