"""The numbers of HTTP/2 (RFC 9113 §6, §7) and the values that settings may take. No behaviour lives here."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client's first bytes are (§3.4)."""

MAX_STREAM_ID: Final = 2**31 - 1
MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535

# Flags. Their meaning depends on the frame.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20


class Role(IntEnum):
    """Which end of a connection we are."""

    CLIENT = 0
    SERVER = 1


# Types of frames (§6). These are plain numbers as well: a member of an enumeration takes five times as long to look up.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9
FRAME_NAMES: Final = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS"),
    *("PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)


class ErrorCode(IntEnum):
    """Error codes (§7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    """Settings (§6.5.2); what each is for stands beside its rule."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class SettingRule(NamedTuple):
    """What a setting is before the peer says anything, what it may be, and the error otherwise."""

    default: int
    least: int
    most: int
    error: ErrorCode


ANY: Final = 2**32 - 1
SETTING_RULES: Final = {
    Setting.HEADER_TABLE_SIZE: SettingRule(4096, 0, ANY, ErrorCode.PROTOCOL_ERROR),
    Setting.ENABLE_PUSH: SettingRule(1, 0, 1, ErrorCode.PROTOCOL_ERROR),
    Setting.MAX_CONCURRENT_STREAMS: SettingRule(ANY, 0, ANY, ErrorCode.PROTOCOL_ERROR),
    Setting.INITIAL_WINDOW_SIZE: SettingRule(DEFAULT_WINDOW, 0, MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR),
    Setting.MAX_FRAME_SIZE: SettingRule(2**14, 2**14, 2**24 - 1, ErrorCode.PROTOCOL_ERROR),
    Setting.MAX_HEADER_LIST_SIZE: SettingRule(ANY, 0, ANY, ErrorCode.PROTOCOL_ERROR),
}
