"""What passes that were not made would show: the distribution of pass quality, foretold from those that were.

`history` puts a run's passes into time order and says what lateness cost; `independent` is the paper's model, in which
responses are late independently of each other; `clusters` finds the stalls; `sizes` and `unseen` say what stalls a
history can have missed, `between` what passes differ by besides; `compound` turns stalls into the distribution of a
pass; `dependent` is the model made of these, with intervals; `predict` puts both side by side,
`validation` holds passes out and compares; `command` is the shell around it. All but the command is pure.
"""
