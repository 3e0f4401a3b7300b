"""Bodies of requests and answers."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from state_hub.models import EventKind, TaskStatus

DETAIL_BYTES = 64 * 1024


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("PostgreSQL cannot store the character U+0000")
    return text


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def _storable_detail(detail: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for string in _strings(detail):
        _storable(string)
    if len(json.dumps(detail, allow_nan=False)) > DETAIL_BYTES:
        raise ValueError(f"detail has more than {DETAIL_BYTES} bytes")
    return detail


Storable = AfterValidator(_storable)
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
Summary = Annotated[str, StringConstraints(min_length=1, max_length=4000), Storable]
Agent = Annotated[str, StringConstraints(min_length=1, max_length=100), Storable]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
Priority = Annotated[int, Field(ge=1, le=5)]
Detail = Annotated[dict[str, JsonValue], AfterValidator(_storable_detail)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Change(_Request):
    """Members that are absent stay as they are."""

    @model_validator(mode="after")
    def _names_a_member(self) -> "_Change":
        if not self.model_fields_set:
            raise ValueError("the body changes nothing")
        return self


class TopicIn(_Request):
    """A new topic."""

    slug: Slug
    title: Title
    detail: Detail = Field(default_factory=dict)


class TopicChange(_Change):
    """Changes of a topic."""

    title: Title = ""
    detail: Detail = Field(default_factory=dict)


class TopicOut(_Answer):
    """A topic."""

    id: uuid.UUID
    slug: str
    title: str
    detail: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime


class TaskIn(_Request):
    """A new task."""

    topic_id: uuid.UUID | None = None
    title: Title
    status: TaskStatus = TaskStatus.TODO
    priority: Priority = 3
    detail: Detail = Field(default_factory=dict)


class TaskChange(_Change):
    """Changes of a task."""

    topic_id: uuid.UUID | None = None
    title: Title = ""
    status: TaskStatus = TaskStatus.TODO
    priority: Priority = 3
    detail: Detail = Field(default_factory=dict)


class TaskOut(_Answer):
    """A task."""

    id: uuid.UUID
    topic_id: uuid.UUID | None
    title: str
    status: TaskStatus
    priority: int
    detail: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime


class EventIn(_Request):
    """A new progress event. Its time is not among the members: the server sets it."""

    topic_id: uuid.UUID | None = None
    task_id: uuid.UUID | None = None
    kind: EventKind = EventKind.NOTE
    agent: Agent
    summary: Summary
    detail: Detail = Field(default_factory=dict)


class EventOut(_Answer):
    """A progress event."""

    id: uuid.UUID
    sequence: int
    topic_id: uuid.UUID | None
    task_id: uuid.UUID | None
    kind: EventKind
    agent: str
    summary: str
    detail: dict[str, JsonValue]
    idempotency_key: str | None
    created_at: datetime


class Health(BaseModel):
    """Answer of a service whose database answers."""

    status: str
    revision: str


class Identity(BaseModel):
    """The database behind the service. Nothing of it is cached."""

    system_identifier: str
    database: str
    database_oid: int
    marker: str | None


class StateSummary(BaseModel):
    """Counts of what the service keeps, as of `generated_at`."""

    generated_at: datetime
    topics: int
    tasks: dict[TaskStatus, int]
    events: int
    last_event_at: datetime | None
