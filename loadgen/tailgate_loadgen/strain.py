"""Holds a run against what this machine was calibrated to send: with how many processes it is sent, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailgate_loadgen.calibration import age, processors, read_calibration, this_machine
from tailgate_loadgen.capacity import NOT_ASKED, OVER_TLS, Calibration, Strain, check, enough_processes, strain_of
from tailgate_loadgen.material import Material
from tailgate_loadgen.options import Options
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.screen import Screen

SIZED = 64
"""Requests whose size is looked at; encoded images differ in theirs."""


def known_of(options: Options) -> Calibration | str:
    """What this machine was calibrated to send, or why that is not known.

    Raises:
        ConfigError: The file is damaged.
    """
    if options.credentials.tls is not None:
        return NOT_ASKED if options.calibration is None else OVER_TLS
    return read_calibration(options.calibration, this_machine(options.client))


def strain_here(options: Options, material: Material, schedule: Schedule) -> Strain:
    """What the whole schedule, or the share that is sent here, asks of this process.

    Raises:
        ConfigError: The calibration's file is damaged.
    """
    return strain_of(schedule, options.sharing.shard, 1, request_bytes(material, schedule), known_of(options))


def with_processes(options: Options, material: Material, schedule: Schedule, known: Calibration | str) -> Options:
    """The options with the number of processes that send.

    Raises:
        ConfigError: They would be late themselves, or how many are needed is not known.
    """
    size, most, sharing = request_bytes(material, schedule), processors(), options.sharing
    if sharing.procs is None:
        strain = enough_processes(schedule, size, known, most)
        return replace(options, sharing=replace(sharing, procs=strain.processes))
    check(strain_of(schedule, sharing.shard, sharing.procs, size, known), most)
    return options


def say_age(known: Calibration | str, screen: Screen) -> None:
    """Say that a calibration is old, if it is."""
    if isinstance(known, Calibration) and (old := age(known)) is not None:
        screen.note(f"the calibration is {old}; 'tailgate load calibrate' measures anew")


def request_bytes(material: Material, schedule: Schedule) -> int:
    """Bytes of a request, on average over some of the run."""
    places = np.unique(np.linspace(0, len(schedule) - 1, min(SIZED, len(schedule))).astype(np.int64))
    sizes = [len(material.frame.build("", material.dataset.payload(int(one)))) for one in schedule.sample[places]]
    return round(sum(sizes) / len(sizes))
