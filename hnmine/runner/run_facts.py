"""What is true of one run alone: when, where and how long."""

from __future__ import annotations

import resource
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any


def this_run(started: float, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return what `run.json` says of the process and of the time that it took.

    Args:
        started: seconds since the epoch.
        seconds: that each step took.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "seconds_of_steps": {step: round(took, 3) for step, took in seconds.items()},
        "peak_memory_bytes": usage * (1 if sys.platform == "darwin" else 1024),
        "host": socket.gethostname(),
        "command": sys.argv,
    }
