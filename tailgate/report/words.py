"""What the report says in words: the outcomes and the terms, for readers who meet them for the first time."""

from __future__ import annotations

from tailgate.outcome import Outcome

OUTCOME_MEANING: dict[Outcome, str] = {
    Outcome.OK: "answered by its deadline",
    Outcome.OK_LATE: "answered after its deadline; the answer was passed on",
    Outcome.OK_LATE_DISCARDED: "the upstream's answer came after the deadline and was not passed on",
    Outcome.DEFAULT_ANSWERED: "no answer by the deadline; the client was given the configured one instead",
    Outcome.EXPIRED_ON_ARRIVAL: "refused: its deadline had passed when it came",
    Outcome.DEADLINE_IN_FLIGHT: "no answer by the deadline",
    Outcome.SHED_QUEUE_FULL: "refused: too many requests in flight",
    Outcome.DRAINING: "refused: the proxy was shutting down",
    Outcome.REJECTED_INVALID: "refused: malformed, or an unknown model",
    Outcome.REJECTED_LIMIT: "refused: too large",
    Outcome.CLIENT_CANCELLED: "the client left before the deadline",
    Outcome.UPSTREAM_UNAVAILABLE: "nothing could be reached, or the connection broke",
    Outcome.UPSTREAM_ERROR: "the upstream answered with an error",
    Outcome.UPSTREAM_INVALID: "the upstream's bytes were no answer",
    Outcome.INTERNAL: "a fault of the proxy itself",
    Outcome.NOT_SENT: "its deadline had passed before it could be sent",
}

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Time-critical accuracy Q(θ)",
        "Answers that were right and complete within the threshold θ, as a share of all labelled arrivals. An answer "
        "later than θ counts nothing, however right it was; a request that was refused, cut or failed counts nothing "
        "and stays in the denominator.",
    ),
    (
        "Accuracy of answers",
        "Right answers as a share of the answers seen, whenever they came. It is what a monitor shows that looks at "
        "answers only, and it does not tell how many of them came too late, or not at all.",
    ),
    (
        "The gap",
        "Accuracy of answers minus time-critical accuracy, in percentage points: what lateness and failures cost.",
    ),
    (
        "Pass",
        "One traversal of the labelled data set. Its samples are the same each time, so whatever differs between "
        "passes comes from time, not from the samples.",
    ),
    (
        "Worst pass",
        "The pass with the lowest time-critical accuracy. A mean over a long run hides a bad minute; the worst pass "
        "does not.",
    ),
    (
        "Latency",
        "At the client, from the moment a request was due to be sent to its complete answer, so that a slow target "
        "cannot hide its own delay; at the proxy, from arrival to complete answer. Percentiles are taken over all "
        "arrivals, where one that was never answered counts as infinitely late.",
    ),
)
