//! Every flag of `docker run`: what it does, seen from inside and outside. `docs/run-flags.md` is the
//! table of them all, and [`table`] holds it against the flags there are and the tests here.

mod health;
mod volumes;
