"""For tests of whatever uses Tierwise: a scripted backend, a misbehaving provider, conformance suites."""
