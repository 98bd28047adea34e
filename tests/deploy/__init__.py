"""The files of docs/deploy, run or checked."""
