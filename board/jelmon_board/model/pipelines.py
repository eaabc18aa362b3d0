"""The state of each pipeline and its stages, from current samples, lines and alerts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jelmon import catalogue as c
from jelmon_board.model import lines
from jelmon_board.model.alerts import Alert, urgency
from jelmon_board.model.changes import Change, changes
from jelmon_board.model.rules import Compared, Threshold, thresholds
from jelmon_board.model.samples import Key, Samples

Latest = Mapping[str, Mapping[Key, float]]
"""Latest values by the key of their line."""
DEFAULT_STALL_SECONDS = 600.0
SEVERE = 75.0
FORMING = 50.0
_TONES = {"stalled": "bad", "alert": "bad", "limited": "bad", "warning": "warn", "slower": "warn", "moving": "good"}
_ORDER = ("stalled", "alert", "limited", "warning", "slower", "moving", "idle", "unknown")
_GAINED = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The stage that limits a pipeline most."""

    stage: str
    state: str
    cause: str
    severity: float | None
    gain_seconds: float | None
    gain_ratio: float | None

    @property
    def matters(self) -> bool:
        """Whether it holds cards up often enough to say so."""
        return self.severity is None or self.severity >= FORMING or self.state in ("stuck", "growing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health score, and the parts that cost points, most first."""

    score: float
    lost: tuple[tuple[str, float], ...]
    coverage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Open advice of an analyzer."""

    strategy: str
    stage: str
    gain_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline now."""

    name: str
    state: str
    """One of stalled, alert, limited, warning, slower, moving, idle, unknown."""
    in_progress: float | None
    waiting: float | None
    finished: float
    velocity: float | None
    processing: float | None
    failed: float | None
    age: float | None
    age_limit: float
    limit: Limit | None
    health: Health | None
    changes: tuple[Change, ...]
    alerts: tuple[Alert, ...]
    suggestions: tuple[Suggestion, ...]
    drivers: tuple[tuple[str, float, float | None, float | None], ...]
    """What explains slow cards: driver, share, and the bounds of the share."""

    @property
    def condition(self) -> str:
        """Return its state in words."""
        return {"alert": "in trouble", "limited": "held up", "warning": "warning"}.get(self.state, self.state)

    @property
    def tone(self) -> str:
        return _TONES.get(self.state, "idle")

    @property
    def loud(self) -> list[Alert]:
        """Its alerts that are neither silenced nor inhibited."""
        return [alert for alert in self.alerts if not alert.is_quiet]

    @property
    def rank(self) -> tuple[object, ...]:
        """The key of the order of pipelines: trouble first."""
        activity = self.age if self.age is not None else 1e12
        return (_ORDER.index(self.state), -len(self.loud), activity, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a pipeline now."""

    pipeline: str
    name: str
    position: float | None
    queue: float | None
    queue_capacity: float | None
    busy: float | None
    workers: float | None
    workers_declared: bool
    blocked: float
    run_seconds: float | None
    wait_seconds: float | None
    per_hour: float | None
    failed: float | None
    severity: float | None
    utilisation: float | None
    impact_seconds: float | None
    cascade: float | None
    gain_seconds: float | None
    gain_ratio: float | None
    oldest_run: float | None
    oldest_wait: float | None
    time_limit: float | None
    retries: float
    contention: tuple[tuple[str, float], ...]
    is_limit: bool
    loud: int

    @property
    def state(self) -> str:
        """Return what its workers do: blocked, starved, overdue, busy, or idle."""
        if self.blocked > 0:
            return "blocked"
        if self.time_limit and self.oldest_run and self.oldest_run > self.time_limit:
            return "overdue"
        if (self.busy or 0) > 0:
            return "busy"
        if (self.queue or 0) > 0:
            return "waiting"
        return "starved"

    @property
    def tone(self) -> str:
        if self.is_limit or (self.severity or 0) >= SEVERE or self.state == "overdue":
            return "bad"
        if (self.severity or 0) >= FORMING or self.blocked or self.loud:
            return "warn"
        return "good" if self.state == "busy" else "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Cards that move from one stage to another, per hour."""

    source: str
    target: str
    per_hour: float


def pipelines(
    samples: Samples,
    latest: Latest,
    alerts: Iterable[Alert],
    compared: Compared,
    now: float,
) -> list[Pipeline]:
    """Return every pipeline, in the order of trouble."""
    names = {
        name
        for metric in (c.CARDS_QUEUED, c.CARDS_IN_PROGRESS, c.LAST_ACTIVITY, c.STAGE_POSITION, c.HEALTH_SCORE)
        for (name,) in samples.by(metric, "pipeline")
    }
    alerts_by: dict[str, list[Alert]] = {}
    for alert in alerts:
        alerts_by.setdefault(alert.pipeline, []).append(alert)
    changes_by: dict[str, list[Change]] = {}
    for change in changes(samples):
        changes_by.setdefault(change.pipeline, []).append(change)
    finished = samples.sum_by(c.CARDS_FINISHED, c.PIPELINE, c.CARDS_FINISHED.labels)
    grouped = _Grouped(samples)
    rows = []
    for name in names:
        age_at = samples.value(c.LAST_ACTIVITY, pipeline=name)
        age = max(0.0, now - age_at) if age_at is not None else None
        limits = thresholds(compared, lines.IDLE_AGE.signal, declared_limits(samples, name))
        age_limit = min((row.value for row in limits), default=DEFAULT_STALL_SECONDS)
        if not compared:
            age_limit = samples.value(c.STALL_LIMIT, pipeline=name) or age_limit
        in_progress = samples.value(c.CARDS_IN_PROGRESS, pipeline=name)
        waiting = samples.value(c.CARDS_WAITING, pipeline=name)
        own_alerts = tuple(sorted(alerts_by.get(name, ()), key=urgency))
        own_changes = tuple(changes_by.get(name, ()))
        limit = grouped.limits.get(name)
        rows.append(
            Pipeline(
                name=name,
                state=_state(age, age_limit, in_progress, waiting, own_alerts, own_changes, limit),
                in_progress=in_progress,
                waiting=waiting,
                finished=finished.get((name,), 0.0),
                velocity=_latest(latest, lines.VELOCITY, name),
                processing=_latest(latest, lines.PROCESSING, name),
                failed=_latest(latest, lines.FAILED, name),
                age=age,
                age_limit=age_limit,
                limit=limit,
                health=grouped.health(name),
                changes=own_changes,
                alerts=own_alerts,
                suggestions=tuple(grouped.suggestions.get(name, ())),
                drivers=tuple(grouped.drivers.get(name, ())),
            )
        )
    return sorted(rows, key=lambda row: row.rank)


def declared_limits(samples: Samples, pipeline: str) -> dict[str, float]:
    """Return the limits that a pipeline declares, by the name of their gauge."""
    found = {metric.name: samples.value(metric, pipeline=pipeline) for metric in (c.STALL_LIMIT, c.CARD_TARGET)}
    return {name: value for name, value in found.items() if value is not None}


def limits_of(compared: Compared, line: lines.Line, samples: Samples, pipeline: str) -> list[Threshold]:
    """Return the thresholds to draw into a line of a pipeline."""
    return thresholds(compared, line.signal, declared_limits(samples, pipeline)) if line.signal else []


def _state(
    age: float | None,
    age_limit: float,
    in_progress: float | None,
    waiting: float | None,
    alerts: tuple[Alert, ...],
    own_changes: tuple[Change, ...],
    limit: Limit | None,
) -> str:
    loud = {alert.severity for alert in alerts if not alert.is_quiet}
    is_open = (in_progress or 0) + (waiting or 0) > 0
    if age is not None and age > age_limit and is_open:
        return "stalled"
    if "critical" in loud:
        return "alert"
    if limit is not None and (limit.severity or 0) >= SEVERE and limit.matters:
        return "limited"
    if "warning" in loud:
        return "warning"
    if any(change.is_sure and change.is_worse and change.is_severe for change in own_changes):
        return "slower"
    if is_open:
        return "moving"
    return "unknown" if age is None else "idle"


class _Grouped:
    """Samples of the analyzers by pipeline, so that 200 pipelines need one pass."""

    def __init__(self, samples: Samples) -> None:
        severity = samples.by(c.BOTTLENECK_SEVERITY, *c.STAGE)
        gain, ratio = samples.by(c.BOTTLENECK_GAIN, *c.STAGE), samples.by(c.BOTTLENECK_GAIN_RATIO, *c.STAGE)
        self.limits = {
            pipeline: Limit(
                stage=stage,
                state=state,
                cause=cause,
                severity=severity.get((pipeline, stage)),
                gain_seconds=gain.get((pipeline, stage)),
                gain_ratio=ratio.get((pipeline, stage)),
            )
            for pipeline, stage, state, cause in samples.by(c.BOTTLENECK_INFO, *c.BOTTLENECK_INFO.labels)
        }
        self._scores = samples.by(c.HEALTH_SCORE, "pipeline")
        self._coverage = samples.by(c.HEALTH_COVERAGE, "pipeline")
        self._lost: dict[str, list[tuple[str, float]]] = {}
        for (pipeline, component), points in samples.by(c.HEALTH_POINTS_LOST, "pipeline", "component").items():
            if points >= 1:
                self._lost.setdefault(pipeline, []).append((component, points))
        self.suggestions: dict[str, list[Suggestion]] = {}
        known = set()
        for (pipeline, stage, strategy), seconds in samples.by(
            c.SUGGESTION_GAIN, "pipeline", "stage", "strategy"
        ).items():
            known.add((pipeline, strategy))
            self.suggestions.setdefault(pipeline, []).append(
                Suggestion(strategy=strategy, stage=stage, gain_seconds=seconds)
            )
        for (pipeline, strategy), count in samples.by(c.SUGGESTIONS, "pipeline", "strategy").items():
            if count > 0 and (pipeline, strategy) not in known:
                self.suggestions.setdefault(pipeline, []).append(
                    Suggestion(strategy=strategy, stage="", gain_seconds=0.0)
                )
        for rows in self.suggestions.values():
            rows.sort(key=lambda row: -row.gain_seconds)
        lower = samples.by(c.ATTRIBUTION_SHARE_LOWER, "pipeline", "driver")
        upper = samples.by(c.ATTRIBUTION_SHARE_UPPER, "pipeline", "driver")
        self.drivers: dict[str, list[tuple[str, float, float | None, float | None]]] = {}
        for key, share in sorted(
            samples.by(c.ATTRIBUTION_SHARE, "pipeline", "driver").items(), key=lambda item: -item[1]
        ):
            if share >= _GAINED:
                self.drivers.setdefault(key[0], []).append((key[1], share, lower.get(key), upper.get(key)))

    def health(self, pipeline: str) -> Health | None:
        score = self._scores.get((pipeline,))
        if score is None:
            return None
        lost = sorted(self._lost.get(pipeline, ()), key=lambda row: -row[1])
        return Health(score=score, lost=tuple(lost), coverage=self._coverage.get((pipeline,)))


def stages(samples: Samples, latest: Latest, alerts: Iterable[Alert], pipeline: str, now: float) -> list[Stage]:
    """Return the stages of a pipeline in their order."""

    def own(metric: c.Metric) -> dict[str, float]:
        return {key[1]: value for key, value in samples.by(metric, *c.STAGE).items() if key[0] == pipeline}

    position, queue, busy = own(c.STAGE_POSITION), own(c.STAGE_QUEUE_DEPTH), own(c.STAGE_IN_PROGRESS)
    workers = own(c.BOTTLENECK_WORKERS) | own(c.STAGE_WORKERS)
    declared = own(c.STAGE_WORKERS)
    capacity = own(c.BOTTLENECK_QUEUE_CAPACITY) | own(c.STAGE_QUEUE_CAPACITY)
    blocked, severity, limits = own(c.STAGE_HELD_UP), own(c.BOTTLENECK_SEVERITY), own(c.STAGE_TIME_LIMIT)
    use, impact, cascade = own(c.BOTTLENECK_UTILISATION), own(c.BOTTLENECK_IMPACT), own(c.BOTTLENECK_CASCADE)
    gain, ratio = own(c.BOTTLENECK_GAIN), own(c.BOTTLENECK_GAIN_RATIO)
    oldest_run, oldest_wait = own(c.STAGE_OLDEST_RUNNING), own(c.STAGE_OLDEST_WAITING)
    retries = own(c.STAGE_RETRIES)
    contention: dict[str, list[tuple[str, float]]] = {}
    for (name, stage, resource), share in samples.by(c.BOTTLENECK_CONTENTION, *c.BOTTLENECK_CONTENTION.labels).items():
        if name == pipeline and share >= _GAINED:
            contention.setdefault(stage, []).append((resource, share))
    loud: dict[str, int] = {}
    for alert in alerts:
        if alert.pipeline == pipeline and not alert.is_quiet:
            loud[alert.stage] = loud.get(alert.stage, 0) + 1
    limiting = {
        stage for name, stage, *_ in samples.by(c.BOTTLENECK_INFO, *c.BOTTLENECK_INFO.labels) if name == pipeline
    }
    rows = [
        Stage(
            pipeline=pipeline,
            name=name,
            position=position.get(name),
            queue=queue.get(name),
            queue_capacity=capacity.get(name),
            busy=busy.get(name),
            workers=workers.get(name),
            workers_declared=name in declared,
            blocked=blocked.get(name, 0.0),
            run_seconds=_latest(latest, lines.STAGE_RUN, pipeline, name),
            wait_seconds=_latest(latest, lines.STAGE_WAIT, pipeline, name),
            per_hour=_latest(latest, lines.STAGE_RATE, pipeline, name),
            failed=_latest(latest, lines.STAGE_FAILED, pipeline, name),
            severity=severity.get(name),
            utilisation=use.get(name),
            impact_seconds=impact.get(name),
            cascade=cascade.get(name),
            gain_seconds=gain.get(name),
            gain_ratio=ratio.get(name),
            oldest_run=_age(oldest_run.get(name), now),
            oldest_wait=_age(oldest_wait.get(name), now),
            time_limit=limits.get(name),
            retries=retries.get(name, 0.0),
            contention=tuple(sorted(contention.get(name, ()), key=lambda row: -row[1])),
            is_limit=name in limiting and (severity.get(name) or 0) >= FORMING,
            loud=loud.get(name, 0),
        )
        for name in {*position, *queue, *busy}
    ]
    return sorted(rows, key=lambda row: (row.position if row.position is not None else 1e9, row.name))


def flows(latest: Latest, pipeline: str) -> list[Flow]:
    """Return how many cards per hour move between the stages of a pipeline."""
    return [
        Flow(source=source, target=target, per_hour=value)
        for (name, source, target), value in sorted(latest.get(lines.TRANSITIONS.key, {}).items())
        if name == pipeline and value > 0
    ]


def _latest(latest: Latest, line: lines.Line, *key: str) -> float | None:
    return latest.get(line.key, {}).get(key)


def _age(moment: float | None, now: float) -> float | None:
    return None if moment is None else max(0.0, now - moment)
