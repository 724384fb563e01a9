"""A record: what one commit says, as JSON.

    {"revision": 7, "kind": "write", "at": 1763629200000000, "by": "ui", "message": "…", "origin": "<store>:7",
     "changes": [{"agent": "a", "type": "persistent", "key": "prefs", "change": "update", "value": {…}}],
     "touches": [{"agent": "a", "type": "local", "key": "draft", "ttl": 60000000, "expires_at": …}],
     "sessions": [{"agent": "a", "name": "c7", "ttl": …, "expires_at": …}],
     "branch": "lab", "merged": "<store>:5", "deeds": [{"do": "checkpoint", "name": "before", …}]}

`branch` is left out for the trunk; `merged` is the commit that a merge took in. Times are microseconds. Members that
would say nothing are left out. Loading the records of a store into an empty one gives the same history: the same
revisions, versions, times and values.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from statedb.errors import InvalidValue
from statedb.models import MISSING, Address, ChangeKind, CheckpointType, CommitKind
from statedb.times import EARLIEST, LATEST
from statedb.values import codec
from statedb.values.arguments import LARGEST, said
from statedb.values.codec import Encoded
from statedb.values.names import address, name

Stamp = Annotated[int, Field(ge=EARLIEST, le=LATEST)]
"""A time: microseconds since 1970."""
Span = Annotated[int, Field(gt=0, le=LATEST)]
"""A time to live, in microseconds."""


Origin = Annotated[str, Field(pattern=r"^.+:\d{1,18}$")]
"""A commit, by the store that first made it and its revision there."""


def _text(text: str) -> str:
    return said(text, "a text") or ""


Text = Annotated[str, AfterValidator(_text)]
"""A text that every database can hold."""
Name = Annotated[str, AfterValidator(lambda text: name(text, "a name"))]
"""What an agent, a key, a branch or a checkpoint may be called."""


class Strict(BaseModel):
    """What is exactly of its form: a member too many, or of another type, is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Key(Strict):
    """Which key."""

    agent: str
    type: str
    key: str

    def address(self) -> Address:
        """Return the key's address. Raises InvalidKey."""
        return address(self.agent, self.type, self.key)


class Touch(Key):
    """An expiry that moved."""

    ttl: Span | None
    expires_at: Stamp | None


class Clock(Strict):
    """A session's clock that moved."""

    agent: str
    name: str
    ttl: Span | None
    expires_at: Stamp | None


class Change(Key):
    """A version made."""

    change: ChangeKind
    source_version: Annotated[int, Field(gt=0, lt=LARGEST)] | None = None
    ttl: Span | None = None
    expires_at: Stamp | None = None
    metadata: dict[str, Any] | None = None
    value: Any = MISSING
    bytes: str | None = None

    def encoded(self, limit: int) -> Encoded | None:
        """Return the value made, None for a deletion or an expiry. Raises InvalidValue where they contradict."""
        if self.bytes is not None and self.value is not MISSING:
            raise InvalidValue(f"a change of {self.key} comes with a value and with bytes")
        given = self.value if self.bytes is None else base64.b64decode(self.bytes, validate=True)
        if (given is MISSING) != (self.change in ("delete", "expire")):
            raise InvalidValue(f"a change of kind {self.change} of {self.key} comes with a value, or lacks one")
        return None if given is MISSING else codec.encode(given, limit)


class Held(Strict):
    """What something holds; neither value nor bytes: nothing."""

    value: Any = MISSING
    bytes: str | None = None

    def held(self) -> Any:
        """Return the value, MISSING for none."""
        return self.value if self.bytes is None else base64.b64decode(self.bytes, validate=True)


class Side(Held):
    """What a side of a conflict held, and the version that is, where it was one."""

    version: Annotated[int, Field(gt=0, lt=LARGEST)] | None = None
    branch: Name | None = None


class Sides(Strict):
    """The three sides of a conflict."""

    base: Side
    ours: Side
    theirs: Side


class MakesBranch(Strict):
    """A branch made: of the commit that makes it where `base` is None."""

    do: Literal["branch"]
    name: Name
    base: Origin | None


class EndsBranch(Strict):
    """A branch ended."""

    do: Literal["end branch"]
    name: Name


class Merges(Strict):
    """A branch merged."""

    do: Literal["merge"]
    branch: Name


class Locks(Strict):
    """Something done to locks, which are the store's own and are not carried to another."""

    do: Literal["locks"]


class MakesCheckpoint(Strict):
    """A checkpoint made, of a commit and an instant, or of the commit that makes it."""

    do: Literal["checkpoint"]
    name: Name
    agent: Name | None
    type: CheckpointType = Field(strict=False)
    at: tuple[Origin, Stamp] | None = Field(strict=False)
    metadata: dict[str, Any] | None


class EndsCheckpoint(Strict):
    """A checkpoint ended."""

    do: Literal["end checkpoint"]
    name: Name
    agent: Name | None


class SetsPolicy(Strict):
    """When an agent's automatic checkpoints are made from now on."""

    do: Literal["checkpoint policy"]
    agent: Name
    config: dict[str, Any] | None


class Conflicts(Strict):
    """A conflict recorded."""

    do: Literal["conflict"]
    key: Annotated[list[str], Field(min_length=3, max_length=3)]
    source: Name | None
    sides: Sides


class Resolves(Strict):
    """A conflict settled, which a commit recorded."""

    do: Literal["resolve"]
    recorded: Origin
    key: Annotated[list[str], Field(min_length=3, max_length=3)]
    method: Text
    settled: Side


class Content(Held):
    """What an event or a snapshot of a stream holds."""

    metadata: dict[str, Any] | None = None

    def encoded(self, limit: int) -> Encoded:
        """Return it as it is stored. Raises InvalidValue where it is nothing, or both a value and bytes."""
        if (self.bytes is None) == (self.value is MISSING):
            raise InvalidValue("an event comes with a value and with bytes, or with neither")
        return codec.encode(self.held(), limit)


class Happened(Content):
    """An event."""

    id: Name
    type: Name


class Appends(Strict):
    """Events appended to a stream."""

    do: Literal["append"]
    stream: Name
    agent: Name | None = None
    events: Annotated[list[Happened], Field(min_length=1)]


class SavesSnapshot(Content):
    """What somebody made of a stream's events up to one, which is told by its version and its id."""

    do: Literal["snapshot"]
    stream: Name
    version: Annotated[int, Field(gt=0, lt=LARGEST)]
    event: Name


Done = Annotated[
    MakesBranch
    | EndsBranch
    | Merges
    | Locks
    | MakesCheckpoint
    | EndsCheckpoint
    | SetsPolicy
    | Conflicts
    | Resolves
    | Appends
    | SavesSnapshot,
    Field(discriminator="do"),
]


class Record(Strict):
    """A commit."""

    revision: int
    kind: CommitKind
    at: Stamp
    origin: Origin
    origin_at: Stamp | None = None
    by: str | None = None
    message: str | None = None
    context: dict[str, Any] | None = None
    changes: list[Change] = []
    touches: list[Touch] = []
    sessions: list[Clock] = []
    branch: Name = "main"
    merged: Origin | None = None
    deeds: list[Done] = []

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        made = {change.change for change in self.changes}
        if (self.kind == "touch" and made) or (self.kind == "expire" and made != {"expire"}):
            raise ValueError(f"a commit of kind {self.kind} does not make {', '.join(sorted(made)) or 'nothing'}")
        return self
