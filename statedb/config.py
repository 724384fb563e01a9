"""What can be set, and what each tier does by default."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from statedb.errors import InvalidValue
from statedb.models import Address, StateType

Clock = Callable[[], float | datetime]


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier's defaults. `keep_versions` and `keep_age` together: a version is kept if either asks for it."""

    purpose: str
    ttl: timedelta | None = None
    keep_versions: int | None = None
    keep_age: timedelta | None = None
    erase_expired: bool = False


# The one table of the tiers; the README prints it. None means "all" for history and "never" for expiry.
TIERS: Mapping[StateType, Tier] = MappingProxyType(
    {
        StateType.LOCAL: Tier("one agent's working state", keep_versions=10, keep_age=timedelta(hours=24)),
        StateType.SHARED: Tier("agents working together"),
        StateType.SESSION: Tier("a conversation", ttl=timedelta(hours=24), erase_expired=True),
        StateType.PERSISTENT: Tier("an agent's life"),
    }
)


class Settings(BaseModel):
    """The store's settings: keywords of `Store`, and all but callables `STATEDB_<NAME>` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    durability: Literal["full", "normal"] = "full"
    """full: a write that returned survives power loss. normal: it survives a killed process."""
    actor: str | None = None
    """Who writes, unless a transaction says otherwise."""
    busy_timeout: float = Field(default=30.0, gt=0, le=1_000_000)
    """Seconds to wait for another writer before `StoreBusy`."""
    transaction_timeout: float = Field(default=60.0, gt=0, le=1_000_000)
    """Seconds after which the transaction of a `with` block that somebody forgot is rolled back."""
    max_value_bytes: int = Field(default=10 * 1024 * 1024, gt=0)
    """The largest value, in bytes of its JSON text or of itself."""
    max_batch: int = Field(default=1024, gt=0)
    """The most concurrent asynchronous writes that share one transaction; fewer where other processes wait."""
    query_max_rows: int = Field(default=100_000, gt=0)
    """The most rows a query may return; one with more is refused, never cut short."""
    query_max_fetch: int = Field(default=500_000, gt=0, le=1_000_000_000)
    """The most rows of one view that a query may need where they are fetched before it runs: of any store but a file.
    A row takes 0.7 KB and its value, and half a million of them take some 4 s."""
    query_timeout: float = Field(default=10.0, gt=0, le=1_000_000)
    """Seconds a query may take."""
    postgres_schema: str = Field(default="statedb", pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)
    """The schema of a PostgreSQL database a store lives in, so that several share one database."""
    postgres_pool: int = Field(default=10, gt=0)
    """The most connections to a PostgreSQL server at a time."""
    postgres_prepare: bool = True
    """Whether statements are prepared on a PostgreSQL server; not behind a pooler that hands sessions round."""
    cache_bytes: int = Field(default=32 * 1024 * 1024, ge=0)
    """The most bytes of values kept in memory by each store object; 0: none."""
    cache_policy: Literal["lru", "lfu", "ttl"] = "lru"
    """Which value makes room: that asked for longest ago, or least often; ttl: any after `cache_ttl`, then as lru."""
    cache_ttl: float = Field(default=300.0, gt=0, le=1_000_000_000)
    """Seconds a value stays in memory with the policy ttl, and in Redis with any."""
    redis_url: str | None = Field(default=None, repr=False)
    """A Redis that processes share as the second level of the cache; values lie there in the clear."""
    on_cache_miss: Callable[[Address], object] | None = None
    """Called with the address of each value of worthwhile size that memory did not hold."""
    clock: Clock = time.time
    """The wall clock: seconds since 1970 or a datetime. The store never lets it go back."""

    @classmethod
    def load(cls, told: Mapping[str, Any]) -> Settings:
        """Return the settings from the environment, overridden by what was told. Raises InvalidValue."""
        names = cls.model_fields.keys() - {"clock", "on_cache_miss"} - told.keys()
        found = {name: os.environ[env] for name in names if (env := f"STATEDB_{name.upper()}") in os.environ}
        try:
            return cls.model_validate({**found, **told})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "_".join(map(str, first["loc"]))
            if name not in cls.model_fields:
                there = ", ".join(cls.model_fields)
                raise InvalidValue(f"there is no setting {name!r:.80}; there are {there}", path=f"/{name}") from None
            where = f"STATEDB_{name.upper()} in the environment" if name in found else f"the setting {name}"
            raise InvalidValue(f"{where}: {first['msg']}", path=f"/{name}") from None


class Options(TypedDict, total=False):
    """The keywords of `Store`, for type checkers: the fields of `Settings`, which a test holds it to."""

    durability: Literal["full", "normal"]
    actor: str | None
    busy_timeout: float
    transaction_timeout: float
    max_value_bytes: int
    max_batch: int
    query_max_rows: int
    query_max_fetch: int
    query_timeout: float
    postgres_schema: str
    postgres_pool: int
    postgres_prepare: bool
    cache_bytes: int
    cache_policy: Literal["lru", "lfu", "ttl"]
    cache_ttl: float
    redis_url: str | None
    on_cache_miss: Callable[[Address], object] | None
    clock: Clock
