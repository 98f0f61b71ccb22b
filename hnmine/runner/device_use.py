"""How busy the models of this process kept their devices, for `run.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hnmine.ragged import Ints
from hnmine.runner.plan import Json


@dataclass
class DeviceUse:
    """The work of one model on one device since the last record.

    Attributes:
        model: its name.
        device: its name.
        dtype: the precision.
        tokens: that it computed, without padding.
        padding: tokens that filled batches up.
        seconds: in which it was called.
        busy_seconds: of the device, with work of this model; None if it was not measured.
        fidelity: how far half precision was from fp32; None if it was not measured.
    """

    model: str
    device: str
    dtype: str
    tokens: int = 0
    padding: int = 0
    seconds: float = 0.0
    busy_seconds: float | None = None
    fidelity: Json | None = None

    def count(self, tokens: Ints, batches: Sequence[Ints]) -> None:
        """Add texts with so many tokens, in batches of positions, the longest first."""
        padded = sum(int(tokens[batch[0]]) * len(batch) for batch in batches)
        self.tokens += int(tokens.sum())
        self.padding += padded - int(tokens.sum())

    def described(self) -> Json:
        """Return it with tokens per second, and the share of time in which the device had work."""
        found = asdict(self)
        if self.seconds:
            found["tokens_per_second"] = round(self.tokens / self.seconds)
            busy = self.busy_seconds
            found["utilisation"] = None if busy is None else round(busy / self.seconds, 3)
        return found


_used: list[DeviceUse] = []


def begin(model: str, device: str, dtype: str) -> DeviceUse:
    """Return the record of a model on a device, which the next `drain` returns."""
    for known in _used:
        if (known.model, known.device, known.dtype) == (model, device, dtype):
            return known
    _used.append(DeviceUse(model, device, dtype))
    return _used[-1]


def drain() -> Json:
    """Return what was recorded since the last call, as a part of `run.json`; empty if nothing."""
    found = [use.described() for use in _used if use.tokens]
    _used.clear()
    return {"models": found} if found else {}
