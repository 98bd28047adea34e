"""What each kind of proxy decides between the fixed stages; pure functions."""
