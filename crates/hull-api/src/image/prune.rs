//! `POST /images/prune`.

use std::collections::BTreeMap;

use hull_model::time::Timestamp;

use super::view::ImageView;
use crate::container::prune::until;
use crate::filters::Filters;
use crate::query::Query;
use crate::refusal::Result;

/// Which of the images that no container uses are to go.
#[derive(Clone, Debug)]
pub struct PruneQuery {
    filters: Filters,
    dangling: bool,
    until: Option<Timestamp>,
}

impl PruneQuery {
    /// Reads the parameters of a prune at `now`.
    pub fn parse(query: &Query, now: Timestamp) -> Result<Self> {
        let filters = query.filters(&["dangling", "label", "label!", "until"])?;
        let dangling = filters.flag("dangling", true)?;
        Ok(Self { dangling, until: until(&filters, now)?, filters })
    }

    /// Whether the filters let this image go; whether it is used is the caller's business.
    pub fn accepts(&self, view: &ImageView<'_>) -> bool {
        let none = BTreeMap::new();
        let labels = view.config.config.as_ref().map_or(&none, |run| &run.labels);
        (!self.dangling || view.tags.is_empty())
            && self.until.is_none_or(|until| view.created() <= until)
            && self.filters.has_labels("label", labels)
            && self.filters.lacks_labels("label!", labels)
    }
}
