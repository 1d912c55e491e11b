import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Label(_message.Message):
    __slots__ = ("request_id", "class_index", "class_name", "score", "weight", "labelled_at", "source", "idempotency_key")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_INDEX_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LABELLED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    class_index: int
    class_name: str
    score: float
    weight: float
    labelled_at: _timestamp_pb2.Timestamp
    source: str
    idempotency_key: str
    def __init__(self, request_id: _Optional[str] = ..., class_index: _Optional[int] = ..., class_name: _Optional[str] = ..., score: _Optional[float] = ..., weight: _Optional[float] = ..., labelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class LabelBatch(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class LabelReceipt(_message.Message):
    __slots__ = ("received", "joined", "duplicate", "correction", "pending", "too_late", "rejected", "errors", "conflict")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    TOO_LATE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    received: int
    joined: int
    duplicate: int
    correction: int
    pending: int
    too_late: int
    rejected: int
    errors: _containers.RepeatedCompositeFieldContainer[LabelError]
    conflict: int
    def __init__(self, received: _Optional[int] = ..., joined: _Optional[int] = ..., duplicate: _Optional[int] = ..., correction: _Optional[int] = ..., pending: _Optional[int] = ..., too_late: _Optional[int] = ..., rejected: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[LabelError, _Mapping]]] = ..., conflict: _Optional[int] = ...) -> None: ...

class LabelError(_message.Message):
    __slots__ = ("index", "request_id", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    request_id: str
    reason: str
    def __init__(self, index: _Optional[int] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
