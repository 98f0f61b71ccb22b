"""Actors on a Ray cluster that share a run: placed, watched, replaced.

Ray moves settings and results; texts and vectors stay in the directory that the machines share,
whose markers and locks say which tasks are done and which are taken.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnmine.errors import HnmineError, PartialRun, is_out_of_memory, missing_extra
from hnmine.runner import incidents, interrupts
from hnmine.runner.locks import check_witness, witnessed
from hnmine.runner.preflight import check_place
from hnmine.runner.urls import mirrored
from hnmine.schema import STATE

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Read when Ray is imported.
try:
    import ray
    from ray.exceptions import RayActorError, RayError, RayTaskError
except ImportError as error:
    raise missing_extra("ray", "ray") from error

LOOK_AGAIN = 0.5
"""Seconds between two looks at the actors."""

TIME_TO_END = 30.0
"""Seconds that actors get to see that nothing is left to do, once the first has."""

TIME_TO_ANSWER = 10.0
"""Seconds that a cluster gets to take a connection."""

MOST_DEATHS = 10
"""Times that an actor is replaced; what dies more often does not die by accident."""

OBJECT_STORE = 80 << 20
"""Bytes for what passes through a cluster that is started here, which is no data."""

WITNESS = f"{STATE}/driver"


ShareOf = Callable[[int, int, int], Callable[[], Any]]
"""From an actor's number, their count and its threads to what it runs, which can be pickled."""


@dataclass(frozen=True)
class Cluster:
    """The cluster to run on, and what of it to use.

    Attributes:
        address: of the cluster; None takes RAY_ADDRESS, else starts one on this machine.
        workers: actors; None: one for each GPU, or for each machine where there are none.
        threads: of each machine, at most; None: all.
        local_threads: CPUs of a cluster that is started here.
        device: that the models run on: `auto`, `cpu`, `cuda` ...
    """

    address: str | None
    workers: int | None
    threads: int | None
    local_threads: int
    device: str

    def lost(self, error: Exception) -> PartialRun:
        """Return the error that explains why the cluster does not answer."""
        return PartialRun(
            f"Ray: {_cause(error)}.",
            why=f"The cluster is {self.address or os.environ.get('RAY_ADDRESS') or 'here'}.",
            fix="Check that it runs, the address, and the versions of Ray and Python; then run the "
            "same command: finished work is kept.",
        )

    def connect(self) -> None:
        """Join the cluster that was asked for, or start one on this machine.

        Raises:
            PartialRun: it does not answer, or runs another version.
        """
        address = self.address or os.environ.get("RAY_ADDRESS")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address:
            host, _, port = address.rpartition(":")
            try:
                if port.isdigit():
                    # Ray itself would try for minutes.
                    socket.create_connection((host, int(port)), TIME_TO_ANSWER).close()
                ray.init(address=address, **quiet)
            except (OSError, RuntimeError, ValueError, RayError) as error:
                raise self.lost(error) from error
            return
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            # Else Ray leaves one in the home directory.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        ray.init(
            address="local",
            num_cpus=max(self.local_threads, self.workers or 1),
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **quiet,
        )


def run_actors(
    share_of: ShareOf, directory: Path, cluster: Cluster, check: Callable[[], None]
) -> Any:
    """Let actors do a run, and return what the first that finds it finished returns.

    Args:
        share_of: what each actor runs.
        directory: of the run, which all machines share.
        cluster: where.
        check: called by each actor before it starts; raises where its machine cannot take part.

    Raises:
        HnmineError: an actor met it.
        PartialRun: there is no cluster, or all actors died.
    """
    check_place(directory)
    on_storage = mirrored(directory) is not None
    job = _Job(None if on_storage else str(directory / WITNESS), check)
    connected = ray.is_initialized()
    try:
        with witnessed(directory / WITNESS):
            if not connected:
                cluster.connect()
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            nodes = [node for node in nodes if node.get("CPU")]
            return _Pool(share_of, job, Layout.over(cluster, nodes)).run()
    except RayTaskError:
        raise
    except RayError as error:
        raise cluster.lost(error) from error
    finally:
        if not connected:
            ray.shutdown()


@dataclass(frozen=True)
class Layout:
    """How many actors there are, and what each gets.

    Attributes:
        count: actors.
        threads: CPUs, and threads of its own, of each.
        gpus: 1 where the run uses a GPU and the cluster has some, else 0.
    """

    count: int
    threads: int
    gpus: int

    @classmethod
    def over(cls, cluster: Cluster, nodes: Sequence[Mapping[str, float]]) -> Layout:
        """Give each actor a GPU, or else a machine.

        Args:
            cluster: with the workers, threads and device where they were given.
            nodes: the resources of each machine, as Ray names them.

        Raises:
            PartialRun: there is no machine with a CPU for actors.
        """
        with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
        wants_gpu = cluster.device == "auto" or cluster.device.startswith("cuda")
        gpus = bool(with_gpu) and wants_gpu
        nodes = with_gpu if gpus else nodes
        if not nodes:
            raise PartialRun(
                "The Ray cluster has no machine with a CPU for actors.",
                fix="Start one, then run the same command.",
            )
        everywhere = sum(int(node["GPU"]) for node in nodes) if gpus else len(nodes)
        count = cluster.workers or everywhere
        together = -(-count // len(nodes))
        cpus = int(min(node["CPU"] for node in nodes))
        return cls(count, max(1, min(cpus, cluster.threads or cpus) // together), int(gpus))


@dataclass(frozen=True)
class _Job:
    """What every actor checks before it starts.

    Attributes:
        witness: the folder where the driver holds locks; None where there are no locks.
        check_machine: raises where this machine differs from the driver's.
    """

    witness: str | None
    check_machine: Callable[[], None]

    def check(self) -> None:
        """Check that this machine has the same directory and the same models as the driver.

        Raises:
            HnmineError: it has not.
        """
        if self.witness:
            check_witness(Path(self.witness))
        self.check_machine()


class _Actor:
    """A process on some machine of the cluster."""

    def __init__(self, job: _Job) -> None:
        self.job = job

    def run(self, share: Callable[[], Any], happened: Sequence[str]) -> Any:
        """Do a share of the run, and note incidents; return its result, or the error it met."""
        try:
            self.job.check()
            for one in happened:
                incidents.note(one)
            return share()
        except HnmineError as error:
            return error  # Ray would wrap it.


@dataclass
class _Member:
    """An actor, and what those of its number have been through.

    Attributes:
        number: of the actor, from 0.
        threads: that it has.
        deaths: of those that it replaces.
        actor: its handle.
        begun: what Ray fulfils once it has found a place.
    """

    number: int
    threads: int
    deaths: int
    actor: Any
    begun: Any

    def has_begun(self) -> bool:
        """Tell whether it has found a place."""
        return bool(ray.wait([self.begun], timeout=0)[0])


class _Pool:
    """The actors of a run."""

    def __init__(self, share_of: ShareOf, job: _Job, layout: Layout) -> None:
        self.share_of, self.job, self.layout = share_of, job, layout
        self.at_work: dict[Any, _Member] = {}
        self.happened: list[str] = []

    def run(self) -> Any:
        """Start the actors, and see them through."""
        for number in range(self.layout.count):
            self._start(number, self.layout.threads, 0)
        result, member = self._first_result()
        self._let_others_end()
        if self.layout.count > 1 or self.happened:
            result = self._end(member) or result
        return result

    def _start(self, number: int, threads: int, deaths: int) -> None:
        place = ray.remote(_Actor).options(num_cpus=threads, num_gpus=self.layout.gpus)
        actor = place.remote(self.job)
        begun = actor.__ray_ready__.remote()
        self._put_to_work(_Member(number, threads, deaths, actor, begun), [])

    def _put_to_work(self, member: _Member, happened: Sequence[str]) -> Any:
        # Two at least: an actor that replaces a lost one must not take its lock for a stranger's.
        count = max(2, self.layout.count)
        share = self.share_of(member.number, count, member.threads)
        work = member.actor.run.remote(share, list(happened))
        self.at_work[work] = member
        return work

    def _first_result(self) -> tuple[Any, _Member]:
        """Wait until an actor finds all done."""
        while self.at_work:
            ready, _ = ray.wait(list(self.at_work), timeout=LOOK_AGAIN)
            interrupts.check()
            for work in ready:
                member = self.at_work.pop(work)
                if result := self._outcome(work, member):
                    return result, member
        raise PartialRun(
            f"All {self.layout.count} actors died, each more than {MOST_DEATHS} times.",
            why=self.happened[-1],
            fix="Mend that, then run the same command: what was finished is kept.",
        )

    def _outcome(self, work: Any, member: _Member) -> Any:
        """Return what an actor brought; replace one that died."""
        try:
            result = ray.get(work)
        except (RayActorError, RayTaskError, MemoryError) as error:
            short = is_out_of_memory(error)
            if isinstance(error, RayTaskError) and not short:
                raise
            self._replace(member, error, short)
            return None
        if isinstance(result, HnmineError):
            raise result
        return result

    def _replace(self, member: _Member, error: Exception, short_of_memory: bool) -> None:
        """Go on with a new actor, wherever there is room; with fewer threads, to spare memory."""
        ray.kill(member.actor)
        threads = max(1, member.threads // 2) if short_of_memory else member.threads
        again = member.deaths < MOST_DEATHS
        then = f"another goes on with {threads} threads" if again else "the others do its tasks"
        how = "ran out of memory" if short_of_memory else "died"
        who = f"Actor {member.number} of {self.layout.count} {how}"
        incidents.note(f"{who} ({_cause(error)}); {then}.")
        self.happened += incidents.drain()
        if again:
            self._start(member.number, threads, member.deaths + 1)

    def _let_others_end(self) -> None:
        """Wait for the actors that have begun, then stop the rest: nothing is left to do."""
        deadline = time.monotonic() + TIME_TO_END
        while time.monotonic() < deadline:
            begun = [work for work, member in self.at_work.items() if member.has_begun()]
            if not begun:
                break
            for work in ray.wait(begun, timeout=LOOK_AGAIN)[0]:
                del self.at_work[work]
            interrupts.check()
        for member in self.at_work.values():
            ray.kill(member.actor)

    def _end(self, member: _Member) -> Any:
        """Let an actor that is left alone clear up, and note what happened; None if it died."""
        work = self._put_to_work(member, self.happened)
        try:
            result = ray.get(work)
        except RayActorError:
            return None
        return None if isinstance(result, HnmineError) else result


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
