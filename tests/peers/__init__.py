"""The suites of other packages, unchanged, with this package in the place of WSGIProxy2.

Programs and not tests of ours, since they download what they run; tox has an environment each.
"""
