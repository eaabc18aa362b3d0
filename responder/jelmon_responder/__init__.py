"""The responder service: Alertmanager webhooks in; alert history, e-mail and actions out."""
