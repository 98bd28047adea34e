"""The WSGI edge (PEP 3333): environ in, ``start_response`` and an iterable out."""
