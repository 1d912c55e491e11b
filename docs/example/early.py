"""A network that is wrong more often: `digits`, trained for a few steps only. `python docs/example/early.py FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from tailgate.digits import load_digits
from tailgate_server.trained_files import write_trained
from tailgate_server.training import Recipe, accuracy, data_sha256, train

EPOCHS = 2


def main() -> None:
    """Train, say how good it is, write it."""
    training, validation = load_digits("training"), load_digits("validation")
    recipe = Recipe(epochs=EPOCHS)
    network = train(recipe, training, lambda _epoch, _loss: None)
    right = accuracy(network, validation)
    write_trained(Path(sys.argv[1]), network.state_dict(), recipe, data_sha256(training), right)
    print(f"wrote {sys.argv[1]}: {right:.2%} right on the validation half")


if __name__ == "__main__":
    main()
