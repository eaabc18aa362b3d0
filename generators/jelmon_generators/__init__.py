"""The compiler: hand-written YAML in; Prometheus rules, Alertmanager configuration, dashboards and documents out."""
