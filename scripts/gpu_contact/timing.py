"""Times of a call: on the device, of the host, and replayed as a CUDA graph; its memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

Call = Callable[[], object]


def device_milliseconds(call: Call, device: torch.device, repeats: int) -> float:
    """Return the median time of a call: between events on CUDA, by the clock elsewhere."""
    call()
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        else:
            begun = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - begun))
    return median(times)


def host_milliseconds(call: Call, repeats: int) -> float:
    """Return the median time until a call on CUDA returns, while the device still works."""
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begun))
    return median(times)


def capture(call: Call) -> torch.cuda.CUDAGraph:
    """Return a call as a CUDA graph; raises what forbids its capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # what happens at first use only must not be captured
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


def measure(call: Call, device: torch.device, repeats: int) -> dict[str, Any]:
    """Return all times of a call in milliseconds, and on CUDA its memory at the peak in MiB."""
    if device.type != "cuda":
        return {"ms": device_milliseconds(call, device, repeats)}
    call()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    peak = torch.cuda.max_memory_allocated() - before
    row: dict[str, Any] = {
        "ms": device_milliseconds(call, device, repeats),
        "host_ms": host_milliseconds(call, repeats),
        "memory_mib": peak / 2**20,
    }
    try:
        graph = capture(call)
        row["graph_ms"] = device_milliseconds(graph.replay, device, repeats)
    except RuntimeError as error:
        row["graph_error"] = str(error).splitlines()[0]
    return row
