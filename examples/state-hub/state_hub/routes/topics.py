"""Topics: create, read, change, delete."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter, HTTPException
from sqlalchemy import delete, func, select, update

from state_hub.bodies import TopicChange, TopicIn, TopicOut
from state_hub.models import Topic
from state_hub.routes.context import Limit, Offset, Session

router = APIRouter(prefix="/topics", tags=["topics"])


def _found(topic: Topic | None) -> Topic:
    if topic is None:
        raise HTTPException(404, "no such topic")
    return topic


@router.post("", status_code=201, response_model=TopicOut)
async def create_topic(body: TopicIn, session: Session) -> Topic:
    """Create a topic; 409 where its slug is taken."""
    topic = Topic(**body.model_dump())
    session.add(topic)
    await session.flush()
    await session.refresh(topic)
    await session.commit()
    return topic


@router.get("", response_model=list[TopicOut])
async def list_topics(session: Session, limit: Limit = 100, offset: Offset = 0) -> Sequence[Topic]:
    """List topics, oldest first."""
    statement = select(Topic).order_by(Topic.created_at, Topic.id).limit(limit).offset(offset)
    return (await session.scalars(statement)).all()


@router.get("/{topic_id}", response_model=TopicOut)
async def read_topic(topic_id: uuid.UUID, session: Session) -> Topic:
    """Read a topic."""
    return _found(await session.get(Topic, topic_id))


@router.patch("/{topic_id}", response_model=TopicOut)
async def change_topic(topic_id: uuid.UUID, body: TopicChange, session: Session) -> Topic:
    """Change the members of a topic that the body has."""
    changes = body.model_dump(exclude_unset=True)
    statement = update(Topic).where(Topic.id == topic_id).returning(Topic)
    topic = _found(await session.scalar(statement.values(**changes, updated_at=func.now())))
    await session.commit()
    return topic


@router.delete("/{topic_id}", status_code=204)
async def delete_topic(topic_id: uuid.UUID, session: Session) -> None:
    """Delete a topic. Its tasks and events stay, without a topic."""
    statement = delete(Topic).where(Topic.id == topic_id).returning(Topic)
    _found(await session.scalar(statement))
    await session.commit()
