"""Processes that train together: shares, messages, and batch norm over all of them."""

from __future__ import annotations

import multiprocessing
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from recon.training.batch_norm import GlobalBatchNorm2d, use_global_batch_norm
from recon.training.distributed import Processes, joined_processes


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def enter(function: Callable[[Processes], Any], rank: int, port: int, results: Any) -> None:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", 2)):
            patch.setenv(name, str(value))
        patch.setenv("MASTER_ADDR", "127.0.0.1")
        patch.setenv("MASTER_PORT", str(port))
        with joined_processes() as processes:
            # As bytes: a tensor would be fetched from this process, which may have ended by then.
            results.put((rank, pickle.dumps(function(processes))))


def in_two(function: Callable[[Processes], Any]) -> list[Any]:
    """What a function returns in each of two processes."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    port = free_port()
    started = [
        context.Process(target=enter, args=(function, rank, port, results)) for rank in range(2)
    ]
    for process in started:
        process.start()
    found = dict(results.get(timeout=120) for _ in started)
    for process in started:
        process.join(timeout=60)
        assert process.exitcode == 0
    return [pickle.loads(found[0]), pickle.loads(found[1])]


def test_alone_there_is_nobody_to_ask() -> None:
    with joined_processes() as processes:
        assert processes == Processes(0, 1, 0)
        assert processes.is_first
        assert processes.all_reduce_max(3, 0) == (3, 0)
        assert processes.gather("a") == ["a"]
        assert processes.broadcast("a") == "a"
        assert processes.collect([1, 2]) == [1, 2]
        assert list(processes.share(3)) == [0, 1, 2]
        assert processes.device("auto") == "auto"


def test_every_process_has_its_own_gpu() -> None:
    assert Processes(3, 4, 1).device("cuda") == "cuda:1"
    assert Processes(3, 4, 1).device("cpu") == "cpu"


@pytest.mark.parametrize("numbers", [(2, 2, 0), (-1, 2, 0), (0, 2, 1)])
def test_numbers_must_fit(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"rank must lie in 0\.\.1"):
        Processes(*numbers)


def test_a_bad_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(ValueError, match="WORLD_SIZE"), joined_processes():
        pass


def exchange(processes: Processes) -> dict[str, Any]:
    rank = processes.rank
    own = [10 * index for index in processes.share(5)]
    norm = normalised(processes.share(6))
    return {
        "most": processes.all_reduce_max(rank, 5 - rank),
        "gather": processes.gather({"rank": rank}),
        "from_first": processes.broadcast(f"from {rank}"),
        "collect": processes.collect(own),
        "norm": norm,
    }


def normalised(samples: range) -> list[torch.Tensor]:
    """Outputs, gradients and statistics of a training pass over some of six samples."""
    torch.manual_seed(0)
    x = torch.randn(6, 3, 4, 5, dtype=torch.float64).float() * 3 + 100
    weights = torch.randn(6, 3, 4, 5)
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
    norm = nn.Sequential(norm)
    use_global_batch_norm(norm)
    assert type(norm[0]) is GlobalBatchNorm2d
    part = x[list(samples)].requires_grad_()
    out = norm(part)
    (out * weights[list(samples)]).sum().backward()
    gradients = [parameter.grad for parameter in norm.parameters()]
    evaluated = norm.eval()(x)
    return [out.detach(), part.grad, *gradients, *norm.buffers(), evaluated.detach()]


def test_two_processes_agree_and_normalise_as_one() -> None:
    one, other = in_two(exchange)
    for found in (one, other):
        assert found["most"] == (1, 5)
        assert found["gather"] == [{"rank": 0}, {"rank": 1}]
        assert found["from_first"] == "from 0"
        assert found["collect"] == [0, 10, 20, 30, 40]
    alone = normalised(range(6))  # by torch's own batch norm
    for k in (0, 1):  # outputs and gradients of the samples
        together = torch.empty_like(alone[k])
        together[0::2], together[1::2] = one["norm"][k], other["norm"][k]
        torch.testing.assert_close(together, alone[k], rtol=1e-4, atol=1e-4)
    for k in (2, 3):  # those of the parameters are summed by whoever averages them
        torch.testing.assert_close(
            one["norm"][k] + other["norm"][k], alone[k], rtol=1e-4, atol=1e-3
        )
    for k in range(4, len(alone)):  # statistics, and what they make of samples
        torch.testing.assert_close(one["norm"][k], other["norm"][k], rtol=0, atol=0)
        torch.testing.assert_close(one["norm"][k], alone[k])
