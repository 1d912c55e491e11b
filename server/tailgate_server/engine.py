"""Runs one model on one device: arrays in, logits out. Knows nothing of requests, queues or deadlines.

Called from the worker's single thread only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tailgate.errors import Overloaded
from tailgate_server.signature import Signature

_log = logging.getLogger(__name__)

# torch 2.8 and later have a type of their own for faults of a device; before, they cannot be told from others.
_DEVICE_FAULT: type[BaseException] | tuple[()] = getattr(torch, "AcceleratorError", ())


class DeviceLost(Exception):
    """The device is in a state from which only a new process recovers (CUDA keeps an error once it has one)."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a batch.

    Attributes:
        logits: FP32 `[rows, classes]`.
        input_ns: Nanoseconds spent on bringing the batch together.
        infer_ns: Nanoseconds spent in the model.
        output_ns: Nanoseconds spent on bringing the logits back.
    """

    logits: npt.NDArray[np.float32]
    input_ns: int
    infer_ns: int
    output_ns: int


class Engine:
    """One model on one device."""

    def __init__(self, module: nn.Module, signature: Signature, device: torch.device, threads: int) -> None:
        """Move the model to its device.

        Args:
            module: From UINT8 or FP32 images `[N, 3, H, W]` to FP32 logits `[N, classes]`.
            signature: What the model looks like from outside.
            device: Where it runs.
            threads: CPU threads one run may use.
        """
        self._signature = signature
        self._device = device
        self._threads = threads
        self._cuda = device.type == "cuda"
        # Convolutions on CUDA are faster with channels last; other layers do not mind.
        self._format = torch.channels_last if self._cuda else torch.contiguous_format
        self._module = module.eval().to(device).to(memory_format=self._format)

    @property
    def on_gpu(self) -> bool:
        """Whether the model runs on a GPU."""
        return self._cuda

    def prepare_thread(self) -> None:
        """Set up the thread that `run` is called from."""
        torch.set_num_threads(self._threads)

    def warm_up(self) -> None:
        """Run batches of the sizes that will come, so that no request pays for choosing kernels."""
        self.prepare_thread()
        # On CUDA every size has its kernels chosen by measurement; on the CPU only allocations have to be made.
        sizes = range(1, self._signature.max_batch + 1) if self._cuda else {1, self._signature.max_batch}
        for dtype in (np.uint8, np.float32):
            for size in sizes:
                logits = self.run([np.zeros((size, *self._signature.image_shape), dtype)]).logits
                expected = (size, self._signature.classes)
                assert logits.shape == expected, f"the model answered {logits.shape}, expected {expected}"

    def run(self, parts: Sequence[npt.NDArray[Any]]) -> Execution:
        """Run the model once over all rows of all parts.

        Args:
            parts: UINT8 or FP32 `[rows, 3, H, W]`, all of one type.

        Raises:
            Overloaded: The device's memory does not suffice, not even for half of the batch at a time.
            DeviceLost: The device no longer works in this process.
        """
        started = time.perf_counter_ns()
        try:
            batch = self._gather(parts)
            gathered = time.perf_counter_ns()
            result = self._forward(batch)
            if result is None:
                # Here, outside any except block, no traceback holds the tensors of the failed attempt any more.
                result = self._in_halves(batch)
            inferred = time.perf_counter_ns()
            logits = result.cpu().numpy()
        except _DEVICE_FAULT as error:
            raise DeviceLost(str(error)) from error
        done = time.perf_counter_ns()
        return Execution(logits, gathered - started, inferred - gathered, done - inferred)

    def _gather(self, parts: Sequence[npt.NDArray[Any]]) -> torch.Tensor:
        rows = sum(len(part) for part in parts)
        dtype = torch.uint8 if parts[0].dtype == np.uint8 else torch.float32
        # Pinned memory can be copied to the device while the CPU goes on.
        batch = torch.empty((rows, *self._signature.image_shape), dtype=dtype, pin_memory=self._cuda)
        np.concatenate(parts, out=batch.numpy())
        return batch

    def _forward(self, batch: torch.Tensor) -> torch.Tensor | None:
        """Logits on the device, or None if its memory does not suffice."""
        try:
            with torch.inference_mode():
                # UINT8 crosses the bus as it is: a quarter of the bytes of FP32.
                images = batch.to(self._device, non_blocking=True).to(memory_format=self._format)
                logits: torch.Tensor = self._module(images)
                if self._cuda:
                    torch.cuda.synchronize(self._device)
                return logits
        except torch.cuda.OutOfMemoryError:
            return None

    def _in_halves(self, batch: torch.Tensor) -> torch.Tensor:
        _log.warning("%s: out of memory with a batch of %d, trying halves", self._signature.name, len(batch))
        halves: list[torch.Tensor] = []
        for half in torch.split(batch, (len(batch) + 1) // 2):
            if self._cuda:
                torch.cuda.empty_cache()
            logits = self._forward(half)
            if logits is None:
                raise Overloaded(
                    f"model {self._signature.name!r}: out of memory with {len(half)} images at once; send fewer"
                )
            halves.append(logits)
        return torch.cat(halves)
