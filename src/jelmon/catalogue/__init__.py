"""Every metric, declared once: what services may expose, rules may query and panels may show.

Names are ``jelmore_<thing>_<unit>[_total]`` in base units (seconds, bytes, ratios from 0 to 1; a *score* goes from 0 to
100). No identifier of unbounded variety (card, session, path, commit) is a label, and no metric has the labels
``service`` or ``env``: service discovery sets those.
"""

from jelmon.catalogue import (
    analyzers,
    board,
    bottlenecks,
    exporter,
    pipelines,
    quality,
    regressions,
    responder,
    store,
    system,
    targets,
    work,
)
from jelmon.catalogue.analyzers import *
from jelmon.catalogue.board import *
from jelmon.catalogue.bottlenecks import *
from jelmon.catalogue.exporter import *
from jelmon.catalogue.metric import *
from jelmon.catalogue.pipelines import *
from jelmon.catalogue.quality import *
from jelmon.catalogue.regressions import *
from jelmon.catalogue.responder import *
from jelmon.catalogue.store import *
from jelmon.catalogue.system import *
from jelmon.catalogue.targets import *
from jelmon.catalogue.work import *

_MODULES = (
    pipelines,
    quality,
    targets,
    work,
    system,
    exporter,
    regressions,
    bottlenecks,
    analyzers,
    responder,
    store,
    board,
)

CATALOGUE: tuple[Metric, ...] = tuple(
    metric for module in _MODULES for metric in vars(module).values() if isinstance(metric, Metric)
)
"""All metrics, module by module, in the order in which they are written."""

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
BY_SERIES: dict[str, Metric] = {series: metric for metric in CATALOGUE for series in metric.series}


def of_service(service: Service) -> tuple[Metric, ...]:
    """Return the metrics that a service exposes."""
    return tuple(metric for metric in CATALOGUE if metric.service is service)
