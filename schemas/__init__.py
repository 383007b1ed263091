"""The contracts: stream spec, events, records, hashing, window store. No Beam, no torch."""
