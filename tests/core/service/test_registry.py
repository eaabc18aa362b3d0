"""Live metrics are exactly what the catalogue declares."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jelmon.catalogue import ALERTS_FIRING, CARDS_QUEUED, NOTIFICATIONS, WEBHOOKS, Histogram, Service, of_service
from jelmon.service.registry import Instruments


@pytest.mark.parametrize("service", [Service.ANALYZER, Service.RESPONDER, Service.STORE, Service.BOARD])
def test_every_metric_of_the_catalogue_is_there(service: Service) -> None:
    """Name, type, help and buckets are the catalogue's, and nothing else is exposed."""
    instruments = Instruments(service)
    for metric in of_service(service):
        labels = dict.fromkeys(metric.labels, "x")
        if isinstance(metric, Histogram):
            instruments.observe(metric, 1, **labels)
    families = list(text_string_to_metric_families(instruments.render()[0].decode()))

    metrics = of_service(service)
    expected = {(metric.name.removesuffix("_total"), metric.kind, metric.help) for metric in metrics}
    assert expected == {(family.name, family.type, family.documentation) for family in families}
    bounds = {
        family.name: [float(sample.labels["le"]) for sample in family.samples if sample.name.endswith("_bucket")]
        for family in families
        if family.type == "histogram"
    }
    assert {m.name: [*m.buckets, float("inf")] for m in metrics if isinstance(m, Histogram)} == bounds


def _value(instruments: Instruments, line: str) -> list[str]:
    return [text for text in instruments.render()[0].decode().splitlines() if text.startswith(line)]


def test_closed_label_values_stand_at_zero() -> None:
    """``increase()`` needs a value before the first event; other labels must be known first."""
    instruments = Instruments(Service.RESPONDER)
    assert _value(instruments, "jelmore_webhooks_total{") == [
        f'jelmore_webhooks_total{{outcome="{outcome}"}} 0.0' for outcome in ("accepted", "rejected", "failed")
    ]
    assert _value(instruments, "jelmore_notifications_total{") == []
    instruments.inc(NOTIFICATIONS, channel="email", outcome="sent")

    assert _value(instruments, "jelmore_notifications_total{") == [
        'jelmore_notifications_total{channel="email",outcome="sent"} 1.0',
        'jelmore_notifications_total{channel="email",outcome="failed"} 0.0',
        'jelmore_notifications_total{channel="email",outcome="refused"} 0.0',
    ]


def test_only_what_is_declared_can_be_counted() -> None:
    """A metric of another service, or a label too many, is a fault of ours and told at once."""
    instruments = Instruments(Service.RESPONDER)
    with pytest.raises(KeyError):
        instruments.inc(CARDS_QUEUED, pipeline="x")
    with pytest.raises(ValueError, match="label"):
        instruments.inc(WEBHOOKS, outcome="accepted", colour="red")


def test_a_series_can_be_forgotten() -> None:
    """What is no longer there is no longer shown."""
    instruments = Instruments(Service.RESPONDER)
    instruments.set(ALERTS_FIRING, 3, severity="critical")
    instruments.forget(ALERTS_FIRING, severity="critical")

    assert _value(instruments, 'jelmore_alerts_firing{severity="critical"}') == []
