//! The progress of pulls and loads, as the engine reports it.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::IsTerminal as _;

use crate::commands::image::pull::Shown;
use crate::failure::Failure;

/// Layers shown as bars of their own at most; an engine that names more gets plain lines.
const BARS_MAX: usize = 256;

/// One report of the engine.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Update {
    #[serde(default)]
    status: String,
    #[serde(default)]
    id: String,
    #[serde(default, rename = "progressDetail")]
    detail: Option<Detail>,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default)]
    current: u64,
    #[serde(default)]
    total: u64,
}

/// Shows reports: bars on a terminal, lines elsewhere.
pub(crate) struct Progress {
    shown: Shown,
    bars: Option<MultiProgress>,
    by_id: HashMap<String, ProgressBar>,
}

impl Progress {
    pub(crate) fn new(shown: Shown) -> Self {
        let (is_terminal, target) = match shown {
            Shown::OnStdout => (std::io::stdout().is_terminal(), ProgressDrawTarget::stdout()),
            Shown::OnStderr => (std::io::stderr().is_terminal(), ProgressDrawTarget::stderr()),
            Shown::Nothing => (false, ProgressDrawTarget::hidden()),
        };
        let bars = is_terminal.then(|| MultiProgress::with_draw_target(target));
        Self { shown, bars, by_id: HashMap::new() }
    }

    /// Shows one report.
    ///
    /// # Errors
    /// The error the engine reports, or output that cannot be written.
    pub(crate) fn show(&mut self, update: Update) -> Result<(), Failure> {
        if !update.error.is_empty() {
            self.finish();
            return Err(Failure::new(update.error));
        }
        if !update.stream.is_empty() {
            return self.line(update.stream.trim_end());
        }
        if update.id.is_empty() || (self.bars.is_some() && is_headline(&update)) {
            let prefix = if update.id.is_empty() { String::new() } else { update.id + ": " };
            return self.line(&format!("{prefix}{}", update.status));
        }
        match (self.bar(&update.id), update.detail) {
            (Some(bar), detail) => {
                move_bar(&bar, update.status, &detail.unwrap_or_default());
                Ok(())
            }
            // Without a terminal each state once, not each step.
            (None, Some(detail)) if detail.total > 0 || detail.current > 0 => Ok(()),
            (None, _) => self.line(&format!("{}: {}", update.id, update.status)),
        }
    }

    fn bar(&mut self, id: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        if let Some(bar) = self.by_id.get(id) {
            return Some(bar.clone());
        }
        if self.by_id.len() >= BARS_MAX {
            return None;
        }
        let bar = bars.add(ProgressBar::no_length());
        bar.set_prefix(id.to_owned());
        self.by_id.insert(id.to_owned(), bar.clone());
        Some(bar)
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        match (&self.bars, self.shown) {
            (_, Shown::Nothing) => Ok(()),
            (Some(bars), _) => {
                // A line above the bars; a terminal that is gone shows neither.
                drop(bars.println(text));
                Ok(())
            }
            (None, Shown::OnStdout) => super::line(text),
            (None, Shown::OnStderr) => {
                super::talk(text);
                Ok(())
            }
        }
    }

    /// Leaves the bars as they are.
    pub(crate) fn finish(&mut self) {
        for bar in self.by_id.values() {
            bar.abandon();
        }
    }
}

/// `latest: Pulling from library/x` is about the whole, not about a layer.
fn is_headline(update: &Update) -> bool {
    update.status.starts_with("Pulling from")
}

fn move_bar(bar: &ProgressBar, status: String, detail: &Detail) {
    let template = if detail.total > 0 {
        bar.set_length(detail.total);
        bar.set_position(detail.current);
        "{prefix}: {msg:<20} [{bar:40}] {bytes}/{total_bytes}"
    } else {
        "{prefix}: {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(status);
}
