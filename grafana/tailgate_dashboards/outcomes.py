"""The outcomes, in the groups that an operator thinks in, and their colours: the same on every panel.

The groups' colours are those of Okabe and Ito, which people with the common kinds of colour blindness can tell apart;
the outcomes of a group are shades of its colour. Together with *wrong in time* the groups that are not *in time* are
what time-critical accuracy lacks to one.
"""

from __future__ import annotations

IN_TIME = "ok"

GROUPS: dict[str, dict[str, str]] = {
    "late": {
        "ok_late": "#E69F00",
        "ok_late_discarded": "#B37A00",
        "deadline_in_flight": "#F0C050",
        "default_answered": "#8C5F00",
        "expired_on_arrival": "#F7DFA0",
        "expired_in_queue": "#C99B2E",
    },
    "refused": {
        "shed_queue_full": "#56B4E9",
        "shed_predicted_late": "#3D9BD1",
        "draining": "#2B7CB0",
        "rejected_limit": "#0072B2",
        "rejected_invalid": "#9BD3F5",
        "rejected_auth": "#004B75",
    },
    "failed": {
        "upstream_unavailable": "#D55E00",
        "upstream_error": "#A34800",
        "upstream_invalid": "#F08A4B",
        "internal": "#7A1F00",
    },
    "client left": {"client_cancelled": "#999999"},
}

RIGHT_COLOUR = "#009E73"
WRONG_COLOUR = "#CC79A7"
GROUP_COLOURS = {group: next(iter(shades.values())) for group, shades in GROUPS.items()}
CAUSE_COLOURS = {"wrong in time": WRONG_COLOUR, **GROUP_COLOURS}
OUTCOME_COLOURS = {
    IN_TIME: RIGHT_COLOUR,
    **{outcome: colour for shades in GROUPS.values() for outcome, colour in shades.items()},
}
ROLE_COLOURS = {"stable": "#0072B2", "canary": "#E69F00"}
