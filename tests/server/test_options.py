"""What may be typed after `tailgate server`."""

from __future__ import annotations

import argparse
import os

import pytest

from tailgate.errors import ConfigError
from tailgate_server.options import ModelSource, Options, configure, read_options


def read(*arguments: str) -> Options:
    parser = argparse.ArgumentParser()
    configure(parser)
    return read_options(parser.parse_args(arguments))


def test_a_name_alone_is_its_own_architecture_with_default_weights() -> None:
    options = read("--model", "resnet18")
    assert options.models == (ModelSource("resnet18", "resnet18", "DEFAULT"),)
    assert (options.host, options.port, options.max_batch, options.max_queue_delay_s) == ("127.0.0.1", 8001, 16, 0.0)


def test_weights_go_to_the_model_they_name() -> None:
    options = read(
        *("--model", "digits", "--model", "small=mobilenet_v3_small", "--model", "resnet18"),
        *("--weights", "small=random:0", "--weights", "digits=a=b.safetensors"),
    )
    assert options.models == (
        ModelSource("digits", "digits", "a=b.safetensors"),
        ModelSource("small", "mobilenet_v3_small", "random:0"),
        ModelSource("resnet18", "resnet18", "DEFAULT"),
    )


def test_weights_of_a_single_model_need_no_name_even_with_an_equals_sign_in_them() -> None:
    assert read("--model", "digits", "--weights", "run=3/w.pth").models[0].weights == "run=3/w.pth"
    assert read("--model", "digits", "--weights", "digits=w.pth").models[0].weights == "w.pth"


def test_without_threads_given_one_cpu_is_left_to_the_event_loop() -> None:
    cpus = len(os.sched_getaffinity(0))
    assert read("--model", "digits").threads == max(1, cpus - 1)
    assert read("--model", "digits", "--threads", "3").threads == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "a b"], r"--model is 'a b'; a name has 1 to 64"),
        (["--model", "../x=digits"], r"--model is '../x=digits'"),
        (["--model", "x" * 65], "1 to 64 letters"),
        (["--model", "digits", "--model", "digits=resnet18"], "names 'digits' twice"),
        (["--model", "a", "--model", "b", "--weights", "w.pth"], "names none of the models a, b"),
        (["--model", "a", "--weights", "x", "--weights", "y"], "twice for the model 'a'"),
        (["--model", "a", "--weights", "a="], "is empty"),
        (["--model", "a", "--listen", "8001"], "expected HOST:PORT"),
        (["--model", "a", "--listen", "127.0.0.1:70000"], "port of 0 to 65535"),
        (["--model", "a", "--listen", "::1:80"], "expected HOST:PORT"),
        (["--model", "a", "--max-batch", "0"], "--max-batch is 0; expected a whole number of 1"),
        (["--model", "a", "--max-queue", "0"], "--max-queue is 0"),
        (["--model", "a", "--threads", "0"], "--threads is 0"),
        (["--model", "a", "--max-message-mib", "4096"], "--max-message-mib is 4096"),
        (["--model", "a", "--max-queue-delay", "2"], "--max-queue-delay is '2'"),
        (["--model", "a", "--grace", "soon"], "--grace is 'soon'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_option(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(*arguments)


def test_durations_and_sizes_come_out_in_seconds_and_bytes() -> None:
    options = read("--model", "a", "--max-queue-delay", "2ms", "--grace", "1.5s", "--max-message-mib", "1")
    assert (options.max_queue_delay_s, options.grace_s, options.max_message_bytes) == (0.002, 1.5, 1 << 20)
