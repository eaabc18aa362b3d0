"""The responder: webhooks, alerts, notifications, actions and maintenance."""

from jelmon.catalogue.metric import ALERT_SEVERITIES, OUTCOMES, WORK_BUCKETS, Counter, Gauge, Histogram, Service

RESPONDER_INFO = Gauge(
    name="jelmore_responder_info",
    help="Always 1; version and configuration are in the labels.",
    labels=("version", "history"),
    service=Service.RESPONDER,
)
WEBHOOKS = Counter(
    name="jelmore_webhooks_total",
    help="Webhook calls from Alertmanager, by outcome.",
    labels=("outcome",),
    closed={"outcome": ("accepted", "rejected", "failed")},
    service=Service.RESPONDER,
)
ALERTS_RECEIVED = Counter(
    name="jelmore_alerts_received_total",
    help="Alert changes recorded in the history; repeated notifications are not counted.",
    labels=("severity", "status"),
    closed={"severity": ALERT_SEVERITIES, "status": ("firing", "resolved")},
    service=Service.RESPONDER,
)
ALERTS_FIRING = Gauge(
    name="jelmore_alerts_firing",
    help="Firing alerts according to the history.",
    labels=("severity",),
    closed={"severity": ALERT_SEVERITIES},
    service=Service.RESPONDER,
)
ALERT_DURATION = Histogram(
    name="jelmore_alert_duration_seconds",
    help="Duration of an alert (time to restore), excluding maintenance of its pipeline or stage.",
    unit="seconds",
    labels=("severity",),
    buckets=WORK_BUCKETS,
    service=Service.RESPONDER,
)
NOTIFICATIONS = Counter(
    name="jelmore_notifications_total",
    help="Attempts to send a notification, by outcome; a refused one is set aside.",
    labels=("channel", "outcome"),
    closed={"outcome": ("sent", "failed", "refused")},
    service=Service.RESPONDER,
)
NOTIFICATIONS_SUPPRESSED = Counter(
    name="jelmore_notifications_suppressed_total",
    help="Notifications held back because the channel's budget was exhausted.",
    labels=("channel",),
    service=Service.RESPONDER,
)
RESPONDER_ACTIONS = Counter(
    name="jelmore_responder_actions_total",
    help="Automated actions handled by the responder, by outcome.",
    labels=("action", "outcome"),
    closed=OUTCOMES,
    service=Service.RESPONDER,
)
RESPONDER_WEB_CONFIG_RELOADED = Gauge(
    name="jelmore_responder_web_config_last_reload_successful",
    help="1 if the web config in force is that in its file, 0 if the file is invalid and the previous one is used.",
    service=Service.RESPONDER,
)
HISTORY_UP = Gauge(
    name="jelmore_history_up",
    help="1 if the last access to the alert history succeeded, else 0.",
    service=Service.RESPONDER,
)
WEBHOOK_SUCCESS = Gauge(
    name="jelmore_webhook_last_success_timestamp_seconds",
    help="Time of the last accepted webhook call.",
    unit="seconds",
    service=Service.RESPONDER,
)
MAINTENANCE_START = Gauge(
    name="jelmore_maintenance_start_timestamp_seconds",
    help="Start of the maintenance window that is open, or of the next one.",
    unit="seconds",
    labels=("window",),
    service=Service.RESPONDER,
)
MAINTENANCE_END = Gauge(
    name="jelmore_maintenance_end_timestamp_seconds",
    help="End of the maintenance window that is open, or of the next one.",
    unit="seconds",
    labels=("window",),
    service=Service.RESPONDER,
)
RULES_FINGERPRINT = Gauge(
    name="jelmore_rules_fingerprint",
    help="Fingerprint of the rules that the responder has loaded; Prometheus records that of its own rules.",
    service=Service.RESPONDER,
)
SILENCE_END = Gauge(
    name="jelmore_silence_end_timestamp_seconds",
    help="Earliest time at which a firing alert with this name loses its last silence.",
    unit="seconds",
    labels=("alert",),
    service=Service.RESPONDER,
)
