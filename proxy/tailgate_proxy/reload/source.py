"""Where a configuration comes from, to be read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tailgate.errors import ConfigMistakes
from tailgate_proxy.checking import read_and_check
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.reload.changes import refusals


@dataclass(frozen=True)
class Source:
    """A file, and the options that win over it.

    Attributes:
        file: The file.
        given: Options by their field.
        config: What they said when they were last read and put to use.
    """

    file: Path
    given: Mapping[str, object]
    config: ProxyConfig

    def read(self) -> ProxyConfig:
        """What they say now.

        Raises:
            ConfigError: There is a mistake in it, or what it changes cannot change while the proxy runs.
        """
        config = read_and_check(self.file, dict(self.given))
        sentences = refusals(self.config, config)
        if sentences:
            raise ConfigMistakes([f"{self.file}: {sentence}" for sentence in sentences])
        return config
