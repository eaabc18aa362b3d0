"""The table of sources. To add one, write a `Source` in a module of its own and add a row to `SOURCES`."""

from collections.abc import Callable
from dataclasses import dataclass

from jelmon_exporter.collectors.prober import Prober
from jelmon_exporter.counting.context import CountingContext
from jelmon_exporter.replicas.mirror import Mirror
from jelmon_exporter.replicas.singleton import Singleton
from jelmon_exporter.settings import ExporterSettings
from jelmon_exporter.sources.collectors import CustomSource, ProbeSource, SystemSource
from jelmon_exporter.sources.forwarding import Forwarding
from jelmon_exporter.sources.http import HttpSource
from jelmon_exporter.sources.jetstream import JetStreamSource
from jelmon_exporter.sources.local import LocalSource
from jelmon_exporter.sources.source import Source

EventSource = JetStreamSource | LocalSource
"""Where events to count come from: the stream or, without NATS, requests over HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What sources are made from."""

    settings: ExporterSettings
    counting: CountingContext
    prober: Prober
    probing: Singleton
    events: EventSource
    sink: Forwarding | LocalSource | None


SOURCES: tuple[Callable[[SourceContext], Source | None], ...] = (
    lambda context: context.events,
    lambda context: context.sink if isinstance(context.sink, Forwarding) else None,
    lambda context: HttpSource(context.sink, context.counting.process_series) if context.sink is not None else None,
    lambda context: SystemSource(
        context.counting.process_series,
        host=context.settings.host,
        interval=context.settings.collection_interval,
        clock=context.counting.clock,
    ),
    lambda context: ProbeSource(context.prober, context.probing, enabled=context.settings.targets_file is not None),
    lambda context: CustomSource(context.counting.process_series, interval=context.settings.collection_interval),
)


def open_sources(context: SourceContext) -> tuple[Source, ...]:
    """Return the sources that the settings ask for. None of them runs yet."""
    sources = (make(context) for make in SOURCES)
    return tuple(source for source in sources if source is not None)


def open_event_source(
    settings: ExporterSettings, counting: CountingContext, mirror: Mirror
) -> tuple[EventSource, Forwarding | LocalSource | None]:
    """Return the source of events to count, and the sink for those that arrive over HTTP, if they are taken."""
    if settings.nats is None:
        local = LocalSource(counting, mirror)
        return local, local
    stream = JetStreamSource(
        settings.nats,
        counting,
        mirror,
        replica=settings.replica,
        batch=settings.batch_messages,
        batch_seconds=settings.batch_seconds,
    )
    return stream, Forwarding(settings.nats, counting.process_series) if settings.events else None
