"""Notebooks as functions: parameters in, a folder with a record, an executed notebook and a report out.

The way of one run: ``notebook`` finds and reads, ``parameters`` and ``profiles`` settle every value, ``keys`` names the
run by its content, ``jobs`` writes that down, ``cluster`` hands jobs out, ``runner`` runs one in a subprocess
(``execute``), ``records`` says how it ended, ``report``, ``index`` and ``ledger`` tell people. Nothing here imports
torch, and nothing heavy is imported before a notebook has to run.
"""
