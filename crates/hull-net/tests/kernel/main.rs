//! Bridges, endpoints and rules on the real kernel, with real traffic. Needs root, `ip` and `nft`.

#[cfg(test)]
mod bridge;
#[cfg(test)]
mod firewall;
#[cfg(test)]
mod machine;
