//! What separates a guest from its host, as sentences in order: what `hull explain` shows.

/// All that is to be said about one guest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Explanation {
    /// Each about one kind of thing.
    pub topics: Vec<Topic>,
}

/// What is to be said about one kind of thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// `user namespace`, `limits`, …
    pub name: &'static str,
    /// One for each thing.
    pub facts: Vec<Fact>,
}

/// One thing that is so, and why where that is not a matter of course.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fact {
    /// What it is about: `network`, `/data`.
    pub name: String,
    /// How it is.
    pub value: String,
    /// Why; empty where nobody would ask.
    pub why: String,
}

impl Topic {
    /// A topic without facts.
    pub fn new(name: &'static str) -> Self {
        Self { name, facts: Vec::new() }
    }

    /// Adds a fact that needs no reason.
    pub fn say(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.because(name, value, "");
    }

    /// Adds a fact and its reason.
    pub fn because(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.facts.push(Fact { name: name.into(), value: value.into(), why: why.into() });
    }
}
