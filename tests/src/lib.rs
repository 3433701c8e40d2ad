//! What the tests of the built binary share: daemons of their own, clients, clean-up.
