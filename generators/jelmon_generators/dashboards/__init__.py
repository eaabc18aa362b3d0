"""Grafana dashboards as code: queries over the metric catalogue, panels built on grafanalib."""
