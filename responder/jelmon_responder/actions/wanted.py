"""Which actions an alert asks for: its annotation ``auto_actions`` names them, separated by commas."""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime

from jelmon.events import Outcome
from jelmon_responder.history.episodes import Change, Episode, What
from jelmon_responder.history.history import Action

ANNOTATION = "auto_actions"
MAX_ACTIONS = 10
_NAMESPACE = uuid.UUID("6f1b9a8e-6d3f-5f0a-9a55-7a3c1d2e4b60")


def wanted(changes: Iterable[Change], *, allowed: Collection[str], can_publish: bool, now: datetime) -> list[Action]:
    """The actions to ask for. One that will not be carried out has its outcome already, and says why.

    The id follows from alert, start and action, so that the same alert never asks twice.
    """
    found = []
    for change in changes:
        if change.what is not What.FIRING:
            continue
        names = [name.strip()[:64] for name in change.episode.annotations.get(ANNOTATION, "").split(",")]
        for name in list(dict.fromkeys(filter(None, names)))[:MAX_ACTIONS]:
            refusal = _refusal(name, change.episode, allowed=allowed, can_publish=can_publish)
            found.append(_action(name, change.episode, refusal, now))
    return found


def _refusal(name: str, episode: Episode, *, allowed: Collection[str], can_publish: bool) -> str:
    if episode.is_drill:
        return "the alert is a drill"
    if name not in allowed:
        return "not among the allowed actions (--actions.allowed)"
    if not can_publish:
        return "no NATS to publish on (--nats.url)"
    return ""


def _action(name: str, episode: Episode, refusal: str, now: datetime) -> Action:
    key = f"{episode.fingerprint}|{episode.starts_at.isoformat()}|{name}"
    return Action(
        id=str(uuid.uuid5(_NAMESPACE, key)),
        action=name,
        requested_by=episode.alertname[:128] or "unnamed",
        fingerprint=episode.fingerprint,
        starts_at=episode.starts_at,
        pipeline=episode.pipeline[:128],
        stage=episode.stage[:128],
        requested_at=now,
        outcome=Outcome.SKIPPED if refusal else None,
        finished_at=now if refusal else None,
        detail=refusal,
    )
