# SPDX-License-Identifier: Apache-2.0
"""What networks are trained for; each task is declared once, in a file of its name."""

from __future__ import annotations

from keras_models.tasks.classification import CLASSIFICATION
from keras_models.tasks.depth import DEPTH
from keras_models.tasks.detection import DETECTION
from keras_models.tasks.keywords import KEYWORDS
from keras_models.tasks.question import QUESTION
from keras_models.tasks.scores import Cell, TaskScores
from keras_models.tasks.segmentation import SEGMENTATION
from keras_models.tasks.task import Task
from keras_models.tasks.texts import LANGUAGE, TOPIC

_ALL = (CLASSIFICATION, DEPTH, SEGMENTATION, DETECTION, KEYWORDS, LANGUAGE, TOPIC, QUESTION)
TASKS: dict[str, Task] = {task.name: task for task in _ALL}


class TaskError(ValueError):
    """A task does not exist, or network, data and task do not go together; the message says."""


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
      TaskError: there is none.
    """
    if name not in TASKS:
        raise TaskError(f"task {name!r} does not exist, expected one of {', '.join(TASKS)}")
    return TASKS[name]


def expect_output(name: str, shape: tuple[int, ...], task: Task) -> None:
    """Refuses a network for a task that needs another kind of output.

    Args:
      name: of the network.
      shape: of one output, without the batch.

    Raises:
      TaskError: one line that says what to take.
    """
    dense = len(shape) == 3
    if dense != task.dense:
        kind = "a picture" if dense else "one vector"
        what = "a network with `dense` above 0" if task.dense else "one with `dense` 0"
        raise TaskError(f"{name!r} makes {kind}, task {task.name} needs {what}")


def expect_inputs(name: str, shapes: tuple[tuple[int, ...], ...], task: Task) -> None:
    """Refuses a network for a task that needs other inputs.

    Args:
      name: of the network.
      shapes: of its inputs, without the batch.

    Raises:
      TaskError: one line that says what to take.
    """
    if (len(shapes) == 2) != (task.asked is not None):
        kind = "a picture and a question" if len(shapes) == 2 else "pictures alone"
        what = "with `question` above 0" if task.asked is not None else "one with `question` 0"
        raise TaskError(f"{name!r} takes {kind}, task {task.name} needs a network {what}")


def task_of_data(dataset: str) -> Task:
    """The task whose targets a data set has.

    Raises:
      TaskError: no task has it.
    """
    for task in _ALL:
        if dataset in task.datasets:
            return task
    raise TaskError(f"dataset {dataset!r} belongs to no task")


__all__ = [
    "CLASSIFICATION",
    "KEYWORDS",
    "TASKS",
    "Cell",
    "Task",
    "TaskError",
    "TaskScores",
    "expect_inputs",
    "expect_output",
    "task_named",
    "task_of_data",
]
