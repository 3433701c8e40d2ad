//! The client against servers: the reference implementation, and one that fails and lies.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod real;
#[cfg(test)]
mod support;
