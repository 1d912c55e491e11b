"""The peer's settings (RFC 9113 §6.5): what it has said, or the protocol's defaults."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.http2.codes import SETTING_RULES, ErrorCode, Setting
from tailgate.http2.errors import ConnectionViolation


@dataclass(slots=True)
class PeerSettings:
    """What the peer takes.

    Attributes:
        header_table_size: Bytes of the table that it decodes our headers with.
        enable_push: Whether it would take pushed streams, which we never send.
        max_concurrent_streams: How many streams we may have open with it.
        initial_window_size: The send window of a new stream.
        max_frame_size: The longest payload of a frame.
        max_header_list_size: The longest header list, as far as it advises.
    """

    header_table_size: int = SETTING_RULES[Setting.HEADER_TABLE_SIZE].default
    enable_push: int = SETTING_RULES[Setting.ENABLE_PUSH].default
    max_concurrent_streams: int = SETTING_RULES[Setting.MAX_CONCURRENT_STREAMS].default
    initial_window_size: int = SETTING_RULES[Setting.INITIAL_WINDOW_SIZE].default
    max_frame_size: int = SETTING_RULES[Setting.MAX_FRAME_SIZE].default
    max_header_list_size: int = SETTING_RULES[Setting.MAX_HEADER_LIST_SIZE].default

    def update(self, identifier: int, value: int) -> None:
        """Take one setting; unknown ones are ignored.

        Raises:
            ConnectionViolation: A value that the setting cannot have.
        """
        if not Setting.HEADER_TABLE_SIZE <= identifier <= Setting.MAX_HEADER_LIST_SIZE:
            return
        setting = Setting(identifier)
        rule = SETTING_RULES[setting]
        if not rule.least <= value <= rule.most:
            raise ConnectionViolation(rule.error, f"SETTINGS_{setting.name} of {value}")
        setattr(self, setting.name.lower(), value)


def refuse_push(identifier: int, value: int) -> None:
    """A client takes no server's word that it may push (§6.5.2).

    Raises:
        ConnectionViolation: It says so.
    """
    if identifier == Setting.ENABLE_PUSH and value:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "a server sent SETTINGS_ENABLE_PUSH of 1")
