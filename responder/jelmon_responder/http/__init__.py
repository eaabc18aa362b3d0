"""HTTP requests and responses of the responder: the webhook, the history pages and test alerts."""
