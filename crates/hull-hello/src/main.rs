//! What `hull run hello` runs: says what this process can see of its isolation.
//!
//! It reads files and nothing else. What cannot be read is left out.

mod facts;
mod limits;

use std::io::Write;

fn main() {
    let mut text = String::from("\nHello from a container made by hull.\n\n");
    for (name, value) in facts::all() {
        text.push_str(&format!("  {name:<12}{value}\n"));
    }
    text.push_str("\nNext:  hull run -it busybox sh    (after: hull image bootstrap busybox)\n\n");
    // A closed standard output is the reader's wish.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
}
