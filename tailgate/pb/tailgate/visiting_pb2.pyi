from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("worker", "life", "taken")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    worker: int
    life: int
    taken: int
    def __init__(self, worker: _Optional[int] = ..., life: _Optional[int] = ..., taken: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("number", "request_id", "truth", "weight", "at_unix_s")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    number: int
    request_id: str
    truth: int
    weight: float
    at_unix_s: float
    def __init__(self, number: _Optional[int] = ..., request_id: _Optional[str] = ..., truth: _Optional[int] = ..., weight: _Optional[float] = ..., at_unix_s: _Optional[float] = ...) -> None: ...

class FromHome(_message.Message):
    __slots__ = ("granted", "withdrawn", "offered")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    granted: _containers.RepeatedCompositeFieldContainer[Grant]
    withdrawn: _containers.RepeatedScalarFieldContainer[str]
    offered: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, granted: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., withdrawn: _Optional[_Iterable[str]] = ..., offered: _Optional[_Iterable[str]] = ...) -> None: ...

class FromHost(_message.Message):
    __slots__ = ("claimed", "taken")
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    claimed: _containers.RepeatedScalarFieldContainer[str]
    taken: int
    def __init__(self, claimed: _Optional[_Iterable[str]] = ..., taken: _Optional[int] = ...) -> None: ...
