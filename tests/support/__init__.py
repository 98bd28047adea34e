"""What the tests stand on: raw upstreams, real front servers and independent judges."""
