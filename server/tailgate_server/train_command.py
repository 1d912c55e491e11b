"""The command `tailgate train-digits`: makes the weights of the built-in digits network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.errors import ConfigError

if TYPE_CHECKING:
    from tailgate.digits import Digits
    from tailgate_server.digits_net import DigitsNet
    from tailgate_server.training import Recipe

LEAST_ACCURACY = 0.97
"""Below it something is wrong with the recipe or the machine: the recipe reaches 0.99."""

DEFAULT_EPOCHS = 30
DEFAULT_SEED = 0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    parser.add_argument("--out", required=True, metavar="FILE.safetensors", help="where the weights go")
    parser.add_argument("--epochs", type=int, default=DEFAULT_EPOCHS, metavar="N", help="traversals of the data")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help="of everything random")
    parser.add_argument(
        "--if-missing", action="store_true", help="keep a whole file that the same recipe made from the same data"
    )


def run(namespace: argparse.Namespace) -> int:
    """Train, evaluate, write; returns the exit status."""
    out = Path(namespace.out)
    if out.suffix != ".safetensors" or out.is_dir():
        raise ConfigError(f"--out is {str(out)!r}; expected the name of a file ending in .safetensors")
    if not out.parent.is_dir():
        raise ConfigError(f"--out is {str(out)!r}, but there is no folder {str(out.parent)!r}; make it first")
    if not 1 <= namespace.epochs <= 10_000:
        raise ConfigError(f"--epochs is {namespace.epochs}; expected 1 to 10000")
    if not 0 <= namespace.seed < 1 << 63:
        raise ConfigError(f"--seed is {namespace.seed}; expected a whole number of 0 or more")
    from tailgate.digits import load_digits
    from tailgate_server.trained_files import recorded_accuracy, write_trained
    from tailgate_server.training import Recipe, accuracy, data_sha256

    training, validation = load_digits("training"), load_digits("validation")
    recipe = Recipe(epochs=namespace.epochs, seed=namespace.seed)
    training_sha256 = data_sha256(training)
    if namespace.if_missing and (known := recorded_accuracy(out, recipe, training_sha256)) is not None:
        sys.stdout.write(f"kept {out}: digits at {known:.2%} on the validation half\n")
        return EXIT_OK
    network = _train(recipe, training)
    reached = accuracy(network, validation)
    if reached < LEAST_ACCURACY:
        sys.stdout.write(
            f"digits reached {reached:.2%} on the validation half, below {LEAST_ACCURACY:.0%}; nothing was written\n"
        )
        return EXIT_MISSED
    write_trained(out, network.state_dict(), recipe, training_sha256, reached)
    sys.stdout.write(
        f"wrote {out}: digits at {reached:.2%} on the {len(validation.labels)} images of the validation half\n"
    )
    return EXIT_OK


def _train(recipe: Recipe, data: Digits) -> DigitsNet:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from tailgate_server.training import train

    columns = (
        TextColumn("training digits"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=recipe.epochs, loss=float("nan"))
        return train(recipe, data, lambda epoch, loss: bar.update(task, completed=epoch, loss=loss))


COMMAND = Command("Train the built-in digits network, in seconds.", configure, run)
