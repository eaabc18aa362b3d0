"""How much room a stage has to queue, learnt from times alone, where nobody declares it or says who is held up.

A card that is held up keeps its worker. So when it is let in, late, that worker takes the next card in the same moment;
where ``queued`` merely comes late, the worker went on when it had finished. And cards come late only while the stage is
full, and at once while it is not. All of this must hold in nearly every case before a stage is said to have a limit.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from jelmon_analyzers.bottleneck.line.stage import Tally

AT_ONCE_SECONDS = 0.05
REMEMBERED = 60
LEAST_HELD = 10
LEAST_AT_ONCE = 5
"""Without cards that come at once, all may come late for reasons of their own."""
SURE = 0.9
_MOST_OPEN = 50


@dataclass(slots=True, eq=False)
class Passage:
    """A card between two stages: when it finished the one, and how full the other was then."""

    stage: int
    target: int
    finished: float
    cards: int
    waiting: int
    went_on: bool = False
    """The stage took another card at once."""
    last_start: float = float("-inf")
    came: float | None = None


class _Seen(NamedTuple):
    cards: int  # at the target when the card was ready to go there
    waiting: int
    late: bool
    kept: bool  # it came late, and its worker went on just then


class Rooms:
    """Follows cards from stage to stage; ``learnt`` is the queue capacity of the stages that have one."""

    def __init__(self, tallies: list[Tally]) -> None:
        self._tallies = tallies
        self._between: dict[int, deque[Passage]] = {}
        self._seen: dict[int, deque[_Seen]] = {}
        self._at_once: Counter[int] = Counter()
        self._held: set[int] = set()
        """Stages for which a card was ever held up, as far as can be told."""
        self.learnt: dict[int, int] = {}

    def finished(self, stage: int, target: int, time: float) -> Passage:
        """A card is done at ``stage`` and on its way to ``target``."""
        tally = self._tallies[target]
        nowhere = self._between.get(target)
        cards = tally.q + tally.v + tally.b
        if nowhere and not tally.b:
            cards += sum(1 for one in nowhere if one.came is None)
        passage = Passage(stage, target, time, cards, tally.q)
        self._between.setdefault(stage, deque(maxlen=_MOST_OPEN)).append(passage)
        return passage

    def started(self, stage: int, time: float) -> None:
        """A worker of ``stage`` takes a card: it was let go by one of those that left."""
        between = self._between.get(stage)
        if not between:
            return
        fresh = False  # one start shows one worker only
        for passage in list(between):
            if passage.came is not None:
                between.remove(passage)
                kept = not fresh and time - passage.came <= AT_ONCE_SECONDS
                fresh = fresh or kept
                self._note(passage, late=True, kept=kept, known=kept or passage.went_on)
            elif not fresh and not passage.went_on and time - passage.finished <= AT_ONCE_SECONDS:
                passage.went_on = fresh = True
            else:
                passage.last_start = time

    def came(self, passage: Passage, stage: int, time: float) -> None:
        """The card of a passage came to a stage."""
        between = self._between[passage.stage]
        if passage not in between:
            return
        if stage != passage.target:
            between.remove(passage)
        elif time - passage.finished <= AT_ONCE_SECONDS:
            between.remove(passage)
            self._at_once[stage] += 1
            self._note(passage, late=False, kept=False, known=True)
        elif passage.went_on or time - passage.last_start <= AT_ONCE_SECONDS:
            between.remove(passage)
            self._note(passage, late=True, kept=not passage.went_on, known=True)
        else:
            passage.came = time

    def forget(self, passage: Passage) -> None:
        """The card of a passage left the line."""
        between = self._between[passage.stage]
        if passage in between:
            between.remove(passage)

    def _note(self, passage: Passage, *, late: bool, kept: bool, known: bool) -> None:
        """Remember it, unless nothing can be told from it: no card was there for the worker to go on with."""
        if not known:
            return
        target = passage.target
        seen = self._seen.setdefault(target, deque(maxlen=REMEMBERED))
        seen.append(_Seen(passage.cards, passage.waiting, late, kept))
        if kept:
            self._held.add(target)
        elif target not in self._held:  # most stages have no limit: nothing to work out
            return
        held = [one for one in seen if one.kept]
        if len(held) < LEAST_HELD or self._at_once[target] < LEAST_AT_ONCE:
            self.learnt.pop(target, None)
            return
        (full, _), *_ = Counter(one.cards for one in held).most_common(1)
        as_expected = sum(one.kept == (one.cards >= full) and one.late == one.kept for one in seen)
        if as_expected >= SURE * len(seen):
            (room, _), *_ = Counter(one.waiting for one in held).most_common(1)
            self.learnt[target] = room
        else:
            self.learnt.pop(target, None)
