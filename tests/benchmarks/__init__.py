"""Programs that measure what the proxy costs and print ratios; never timed tests.

``python -m tests.benchmarks`` runs them all and prints one reST table for the documentation;
``python -m tests.benchmarks.NAME`` runs one of them. All traffic stays on the loopback interface,
and everything that is started is ended by its own process id.
"""
