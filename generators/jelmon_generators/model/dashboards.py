"""The dashboards that a definition can link to."""

DASHBOARD_UIDS = {
    "pipeline": "jelmore-pipeline",
    "quality": "jelmore-quality",
    "bottlenecks": "jelmore-bottlenecks",
}
