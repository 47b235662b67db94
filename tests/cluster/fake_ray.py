"""As much of Ray as `failover_iter.ray` uses: a task runs in this process, when it is asked."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet


class RayError(Exception):
    """The base class of Ray's errors."""


class WorkerCrashedError(RayError):
    """A worker died."""


class RayTaskError(RayError):
    """A task raised an error: Ray's wrapper."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"\x1b[36mray::run()\x1b[39m raised {cause!r}")
        self.cause = cause


class Ref:
    """A reference to a batch, or to the error in its place."""

    def __init__(self, value: object) -> None:
        self.value = value

    def take(self) -> Any:
        value, self.value = self.value, None
        return value

    def __await__(self) -> Iterator[Any]:
        value = self.take()
        try:
            if isinstance(value, Exception):
                raise value
            return value
        finally:
            del value  # the traceback of an error refers to this frame
        yield


class End(Ref):
    """A reference to the end of a task."""

    def __init__(self, task: Task) -> None:
        super().__init__(None)
        self.task = task
        self._future: Future[None] = Future()
        if task.has_ended:
            self._future.set_result(None)
        else:
            task.on_end.append(partial(self._future.set_result, None))

    def future(self) -> Future[None]:
        return self._future


class Task:
    """The result of a streaming task: an iterator of references, sync and async."""

    def __init__(self, ray: FakeRay, batches: Iterator[Any]) -> None:
        self._ray = ray
        self._batches = batches
        self.has_ended = False
        self.on_end: list[Callable[[], object]] = []

    def __iter__(self) -> Task:
        return self

    def __next__(self) -> Ref:
        if self._ray.fault is not None:
            fault, self._ray.fault = self._ray.fault, None
            if self._ray.crash_ends:
                self.end()
            return Ref(fault())
        try:
            return Ref(deepcopy(next(self._batches)))
        except StopIteration:
            self.end()
            raise

    def __aiter__(self) -> Task:
        return self

    async def __anext__(self) -> Ref:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    def completed(self) -> End:
        return End(self)

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._batches.close()  # type: ignore[attr-defined]
            for told in self.on_end:
                told()


class FakeRay:
    """The module `ray`, with one function that is a task."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(
            RayError=RayError, RayTaskError=RayTaskError, WorkerCrashedError=WorkerCrashedError
        )
        self.cloudpickle = pickle
        self.log: list[str] = []
        self.options: list[dict[str, Any]] = []
        #: The tasks that something refers to.
        self.tasks: WeakSet[Task] = WeakSet()
        #: Makes the error that the next batch is replaced by.
        self.fault: Callable[[], Any] | None = None
        #: Whether a task ends when it is cancelled, without force.
        self.obeys = True
        #: Whether a task has ended when its batch is replaced by an error.
        self.crash_ends = True
        self.initialized = True

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        if options == {"num_cpus": 0, "max_retries": 0}:
            return self.short_task
        assert options == {"num_returns": "streaming", "max_retries": 0}

        def decorate(function: Callable[..., Any]) -> Any:
            def with_options(**options: Any) -> Any:
                known = {"_generator_backpressure_num_objects", "num_cpus"}
                if unknown := options.keys() - known:
                    raise ValueError(f"Invalid option keyword {unknown} for remote functions.")
                self.options.append(options)
                return SimpleNamespace(remote=lambda *args: self.start(function, *deepcopy(args)))

            return SimpleNamespace(options=with_options)

        return decorate

    def short_task(self, function: Callable[..., Any]) -> Any:
        def note(node: str, *args: Any) -> None:
            self.log.append(f"{function.__name__} {' '.join(map(str, args))} on {node}")

        return SimpleNamespace(
            options=lambda scheduling_strategy: SimpleNamespace(
                remote=partial(note, scheduling_strategy)
            )
        )

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "node 7")

    def start(self, function: Callable[..., Any], *args: Any) -> Task:
        task = Task(self, function(*args))
        self.tasks.add(task)
        return task

    def is_initialized(self) -> bool:
        return self.initialized

    def get(self, ref: Ref) -> Any:
        value = ref.take()
        if isinstance(value, Exception):
            raise value  # a reference cycle, as in Ray: the error refers to this frame
        return value

    def cancel(self, task: Task, *, force: bool = False) -> None:
        self.log.append("kill" if force else "cancel")
        if self.obeys or force:
            task.end()

    def wait(self, refs: list[End], *, timeout: float) -> tuple[list[End], list[End]]:
        self.log.append("wait")
        done = [ref for ref in refs if ref.task.has_ended]
        return done, [ref for ref in refs if ref not in done]


#: The module `ray.util.scheduling_strategies`.
STRATEGIES = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
