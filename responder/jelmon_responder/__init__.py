"""The responder: Alertmanager's webhooks in; log, alert history and actions out."""
