"""From objectives to Prometheus: recording rules, alerts, their unit tests and OpenSLO documents, all from one file.

Lives here: what is asked of time-critical accuracy over Prometheus's counters, as data, and how it becomes text. Must
not live here: any running of it; `promtool` and Prometheus do that. The rules hold no objective: they read what the
proxies export, so that one set of rules serves every model.
"""
