"""The actions that an alert requests: its annotation ``auto_actions`` names them, separated by commas."""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime

from jelmon.events import Outcome
from jelmon_responder.history.episode import Change, ChangeKind, Episode
from jelmon_responder.history.protocol import Action

ANNOTATION = "auto_actions"
MAX_ACTIONS = 10
_NAMESPACE = uuid.UUID("6f1b9a8e-6d3f-5f0a-9a55-7a3c1d2e4b60")


def requested_actions(
    changes: Iterable[Change], *, allowed: Collection[str], can_publish: bool, now: datetime
) -> list[Action]:
    """Return the actions that changes request; one that will not be published carries its outcome and the reason.

    The id is derived from alert, start and action, so that the same alert requests an action only once.
    """
    actions = []
    for change in changes:
        if change.kind is not ChangeKind.FIRING:
            continue
        names = [name.strip()[:64] for name in change.episode.annotations.get(ANNOTATION, "").split(",")]
        for name in list(dict.fromkeys(filter(None, names)))[:MAX_ACTIONS]:
            refusal = _refusal(name, change.episode, allowed=allowed, can_publish=can_publish)
            actions.append(_action(name, change.episode, refusal, now))
    return actions


def _refusal(name: str, episode: Episode, *, allowed: Collection[str], can_publish: bool) -> str:
    if episode.is_drill:
        return "test alert"
    if name not in allowed:
        return "not an allowed action (--actions.allowed)"
    if not can_publish:
        return "no NATS server to publish to (--nats.url)"
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
