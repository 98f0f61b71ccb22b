"""Actors on a Ray cluster that share a run.

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
from functools import partial
from pathlib import Path

from hnmine.errors import HnmineError, PartialRun, first_line, is_out_of_memory, missing_extra
from hnmine.runner import incidents, interrupts
from hnmine.runner.local_pool import Outcome, Pool, ShareOf
from hnmine.runner.locks import check_witness, witnessed
from hnmine.runner.preflight import check_place
from hnmine.runner.urls import mirrored
from hnmine.schema import STATE

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Read when Ray is imported.
try:
    import ray
    from ray import ObjectRef
    from ray.actor import ActorHandle
    from ray.exceptions import RayActorError, RayError, RayTaskError
except ImportError as error:
    raise missing_extra("ray", "ray") from error

LOOK_AGAIN = 0.5
"""Seconds between two looks at the actors."""

TIME_TO_END = 30.0
"""Seconds that actors get to find all tasks done, once the first has."""

TIME_TO_ANSWER = 10.0
"""Seconds that a cluster gets to accept a connection."""

MOST_DEATHS = 10
"""Times that an actor is replaced; more deaths are no accident."""

OBJECT_STORE = 80 << 20
"""Bytes of the object store of a cluster started here; no data passes through it."""

WITNESS = f"{STATE}/driver"


@dataclass(frozen=True)
class Cluster:
    """The cluster to run on, and which part of it to use.

    Attributes:
        address: of the cluster; None takes RAY_ADDRESS, else starts one on this machine.
        workers: actors; None: one for each GPU, or for each machine where no GPU exists.
        threads: of each machine, at most; None: all.
        local_threads: CPUs of a cluster that is started here.
        device: `auto`, `cpu`, `cuda` ...
    """

    address: str | None
    workers: int | None
    threads: int | None
    local_threads: int
    device: str

    def lost(self, error: Exception) -> PartialRun:
        """Return the error that explains why the cluster does not answer."""
        return PartialRun(
            f"Ray: {first_line(error).rstrip('.')}.",
            why=f"The cluster is {self.address or os.environ.get('RAY_ADDRESS') or 'here'}.",
            fix="Check that it runs, the address, and the versions of Ray and Python, then rerun; "
            "finished work is kept.",
        )

    def connect(self) -> None:
        """Join the cluster, or start one on this machine.

        Raises:
            PartialRun: it does not answer, or runs another version.
        """
        address = self.address or os.environ.get("RAY_ADDRESS")
        quiet: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR"}
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
    share_of: ShareOf[Outcome], directory: Path, cluster: Cluster, check: Callable[[], None]
) -> Outcome:
    """Let actors do a run, and return the result of the first that finds it finished.

    Args:
        share_of: what each actor runs.
        directory: of the run, which all machines share.
        cluster: where.
        check: each actor calls it before it starts; raises where its machine cannot take part.

    Raises:
        HnmineError: raised in an actor.
        PartialRun: the cluster does not answer, or all actors died.
    """
    check_place(directory)
    witness = None if mirrored(directory) else str(directory / WITNESS)
    connected = ray.is_initialized()
    try:
        with witnessed(directory / WITNESS):
            if not connected:
                cluster.connect()
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            nodes = [node for node in nodes if node.get("CPU")]
            layout = Layout.over(cluster, nodes)
            return _Actors(share_of, partial(_check_machine, witness, check), layout).run()
    except RayTaskError:
        raise
    except RayError as error:
        raise cluster.lost(error) from error
    finally:
        if not connected:
            ray.shutdown()


@dataclass(frozen=True)
class Layout:
    """The number of actors, and the resources of each.

    Attributes:
        count: actors.
        threads: CPUs of each, and threads that it may use.
        gpus: 1 where the run uses a GPU and the cluster has some, else 0.
    """

    count: int
    threads: int
    gpus: int

    @classmethod
    def over(cls, cluster: Cluster, nodes: Sequence[Mapping[str, float]]) -> Layout:
        """Give each actor a GPU, or else a machine.

        Raises:
            PartialRun: no machine has a CPU for actors.
        """
        with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
        wants_gpu = cluster.device == "auto" or cluster.device.startswith("cuda")
        gpus = bool(with_gpu) and wants_gpu
        nodes = with_gpu if gpus else nodes
        if not nodes:
            raise PartialRun(
                "The Ray cluster has no machine with a CPU for actors.",
                fix="Start one, then rerun.",
            )
        everywhere = sum(int(node["GPU"]) for node in nodes) if gpus else len(nodes)
        count = cluster.workers or everywhere
        together = -(-count // len(nodes))
        cpus = int(min(node["CPU"] for node in nodes))
        return cls(count, max(1, min(cpus, cluster.threads or cpus) // together), int(gpus))


def _check_machine(witness: str | None, check: Callable[[], None]) -> None:
    """Check that this machine has the same directory and the same models as the driver.

    Args:
        witness: folder where the driver holds locks; None for storage without locks.
        check: of the models.

    Raises:
        HnmineError: it has not.
    """
    if witness:
        check_witness(Path(witness))
    check()


class _Actor:
    """A process on some machine of the cluster."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def run(self, share: Callable[[], Outcome], happened: Sequence[str]) -> Outcome | HnmineError:
        """Do a share of the run, and note incidents; return its result, or the error it met."""
        try:
            self.check()
            for one in happened:
                incidents.note(one)
            return share()
        except HnmineError as error:
            return error  # Ray would wrap it.


@dataclass
class _Member:
    """A running actor.

    Attributes:
        number: of the actor, from 0.
        threads: that it has.
        deaths: of the actors that it replaces.
        actor: its handle.
        begun: fulfilled once Ray has found a place for it.
    """

    number: int
    threads: int
    deaths: int
    actor: ActorHandle
    begun: ObjectRef


class _Actors(Pool[Outcome]):
    kind = "Actor"

    def __init__(
        self, share_of: ShareOf[Outcome], check: Callable[[], None], layout: Layout
    ) -> None:
        super().__init__(share_of, layout.count)
        self.check, self.layout = check, layout
        self.at_work: dict[ObjectRef, _Member] = {}
        self.happened: list[str] = []

    def run(self) -> Outcome:
        """Start the actors, and wait for the result."""
        for number in range(self.count):
            self.start(number, self.layout.threads)
        result, member = self._first_result()
        self._let_others_end()
        if self.count > 1 or self.happened:
            result = self._end(member) or result
        return result

    def start(self, number: int, threads: int, deaths: int = 0) -> None:
        place = ray.remote(_Actor).options(num_cpus=threads, num_gpus=self.layout.gpus)
        actor = place.remote(self.check)
        begun = actor.__ray_ready__.remote()
        self._put_to_work(_Member(number, threads, deaths, actor, begun), [])

    def _put_to_work(self, member: _Member, happened: Sequence[str]) -> ObjectRef:
        # At least 2: an actor that replaces a lost one must not take its lock for a stranger's.
        share = self.share_of(member.number, max(2, self.count), member.threads)
        work = member.actor.run.remote(share, list(happened))
        self.at_work[work] = member
        return work

    def _first_result(self) -> tuple[Outcome, _Member]:
        """Wait until an actor finds all tasks done."""
        while True:
            ready, _ = ray.wait(list(self.at_work), timeout=LOOK_AGAIN)
            interrupts.check()
            for work in ready:
                member = self.at_work.pop(work)
                if result := self._outcome(work, member):
                    return result, member

    def _outcome(self, work: ObjectRef, member: _Member) -> Outcome | None:
        """Return the result of an actor; replace one that died."""
        try:
            result = ray.get(work)
        except (RayActorError, RayTaskError, MemoryError) as error:
            short = is_out_of_memory(error)
            if isinstance(error, RayTaskError) and not short:
                raise
            ray.kill(member.actor)
            how = f"{'ran out of memory' if short else 'died'} ({first_line(error).rstrip('.')})"
            again = member.deaths < MOST_DEATHS
            threads = max(1, member.threads // 2) if short else member.threads
            self.replace(member.number, how, threads=threads * again, deaths=member.deaths + 1)
            self.happened += incidents.drain()
            return None
        if isinstance(result, HnmineError):
            raise result
        return result

    def _let_others_end(self) -> None:
        """Wait for the actors that have started, then stop the rest: all tasks are done."""
        deadline = time.monotonic() + TIME_TO_END
        while time.monotonic() < deadline:
            members = self.at_work.items()
            begun = [work for work, one in members if ray.wait([one.begun], timeout=0)[0]]
            if not begun:
                break
            for work in ray.wait(begun, timeout=LOOK_AGAIN)[0]:
                del self.at_work[work]
            interrupts.check()
        for member in self.at_work.values():
            ray.kill(member.actor)

    def _end(self, member: _Member) -> Outcome | None:
        """Let the one actor that is left clear up, and note the incidents; None if it died."""
        work = self._put_to_work(member, self.happened)
        try:
            result = ray.get(work)
        except RayActorError:
            return None
        return None if isinstance(result, HnmineError) else result
