"""The applications of ``docs/examples``, each in the server that its docstring names."""
