"""What the report says in words: the outcomes and the terms, for readers who meet them for the first time."""

from __future__ import annotations

from tailgate.outcome import Outcome

OUTCOME_MEANING: dict[Outcome, str] = {
    Outcome.OK: "answered by its deadline",
    Outcome.OK_LATE: "answered after its deadline; the answer was passed on",
    Outcome.OK_LATE_DISCARDED: "the upstream's answer came after the deadline and was not passed on",
    Outcome.DEFAULT_ANSWERED: "no answer by the deadline; the client was given the configured one instead",
    Outcome.EXPIRED_ON_ARRIVAL: "refused: its deadline had passed when it came",
    Outcome.EXPIRED_IN_QUEUE: "its deadline passed while it waited for its turn",
    Outcome.DEADLINE_IN_FLIGHT: "no answer by the deadline",
    Outcome.SHED_QUEUE_FULL: "refused: too many requests in flight",
    Outcome.SHED_PREDICTED_LATE: "refused: it could not have been in time",
    Outcome.DRAINING: "refused: the proxy was shutting down",
    Outcome.REJECTED_INVALID: "refused: malformed, or an unknown model",
    Outcome.REJECTED_LIMIT: "refused: too large",
    Outcome.REJECTED_AUTH: "refused: without a token that may do this",
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

CAPTIONS: dict[str, tuple[str, str]] = {
    "passes": (
        "Pass by pass",
        "Accuracy of answers looks at the answers that were seen, whenever they came. Time-critical accuracy counts "
        "every labelled arrival, and dips wherever answers come too late to be of use; the area between the two is "
        "what lateness and failures cost.",
    ),
    "time_by_batch": (
        "Time by place in the pass",
        "The mean response time over passes at each place of a pass, in the order of arrival, with one standard "
        "deviation on each side. A wide band says that the same work takes different times; a hill says that it "
        "happens at the same place in every pass. Requests without an answer are left out.",
    ),
    "times": (
        "How long answers take",
        "Response times in bins of equal width, counted on a logarithmic scale, so that the few slow ones show. The "
        "line is the share of all arrivals answered by then. A dotted mark at 1 % is the threshold that 1 % of all "
        "arrivals exceed.",
    ),
    "quality_by_threshold": (
        "Accuracy against threshold",
        "For each threshold, the share of labelled arrivals that were right within it: the mean over passes and the "
        "worst pass (dashed); dotted lines are the accuracies of answers, which know of no threshold. The further the "
        "worst pass lies below the mean, the less the mean says.",
    ),
    "quality_bands": (
        "Best, worst and mean pass of each system",
        "The same for each system by itself: the best, the worst and the mean pass, with a band of one standard "
        "deviation.",
    ),
    "boxes": (
        "How passes are spread",
        "The quality of passes at thresholds that a given share of each system's own responses exceed, so that systems "
        "of different speed are compared at the same share of late answers. Boxes go from the first to the third "
        "quartile, whiskers to the furthest pass within 1.5 times that.",
    ),
    "stability": (
        "Are there enough passes?",
        "The relative Jensen–Shannon distance between the times so far and the last five fits before (arXiv 2212.13925 "
        "v3). At 0.05 or less the times have settled. It says nothing of stalls that were too rare to be seen.",
    ),
    "foretold": (
        "Foretold and observed passes",
        "The distribution of a pass's quality as its stalls foretell it, with the range in which it lies with 90 %, "
        "and the passes that were made (steps). The dotted line is what would be if every answer were late by itself: "
        "where it lies to the right, stalls make the tail.",
    ),
    "causes": (
        "Losses by cause",
        "What became of the labelled arrivals: right and in time, or lost, and to what.",
    ),
    "crossovers": (
        "Do models change places?",
        "Each measure of each model under each condition. Where lines cross, the better model here is the worse one "
        "there.",
    ),
}
"""Title and caption of each figure."""
