"""Tasks: create, read, change, delete."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter, HTTPException
from sqlalchemy import delete, func, select, update

from state_hub.bodies import TaskChange, TaskIn, TaskOut
from state_hub.models import Task
from state_hub.routes.context import Limit, Offset, Session

router = APIRouter(prefix="/tasks", tags=["tasks"])


def _found(task: Task | None) -> Task:
    if task is None:
        raise HTTPException(404, "no such task")
    return task


@router.post("", status_code=201, response_model=TaskOut)
async def create_task(body: TaskIn, session: Session) -> Task:
    """Create a task; 409 where its topic does not exist."""
    task = Task(**body.model_dump())
    session.add(task)
    await session.flush()
    await session.refresh(task)
    await session.commit()
    return task


@router.get("", response_model=list[TaskOut])
async def list_tasks(session: Session, limit: Limit = 100, offset: Offset = 0) -> Sequence[Task]:
    """List tasks, oldest first."""
    statement = select(Task).order_by(Task.created_at, Task.id).limit(limit).offset(offset)
    return (await session.scalars(statement)).all()


@router.get("/{task_id}", response_model=TaskOut)
async def read_task(task_id: uuid.UUID, session: Session) -> Task:
    """Read a task."""
    return _found(await session.get(Task, task_id))


@router.patch("/{task_id}", response_model=TaskOut)
async def change_task(task_id: uuid.UUID, body: TaskChange, session: Session) -> Task:
    """Change the members of a task that the body has."""
    changes = body.model_dump(exclude_unset=True)
    statement = update(Task).where(Task.id == task_id).returning(Task)
    task = _found(await session.scalar(statement.values(**changes, updated_at=func.now())))
    await session.commit()
    return task


@router.delete("/{task_id}", status_code=204)
async def delete_task(task_id: uuid.UUID, session: Session) -> None:
    """Delete a task. Its events stay, without a task."""
    statement = delete(Task).where(Task.id == task_id).returning(Task)
    _found(await session.scalar(statement))
    await session.commit()
