//! An image of one layer from any root file system in an archive.

use std::io::Read;
use std::sync::Arc;
use std::time::SystemTime;

use hull_model::image::{History, ImageConfig, Platform, RootFs, RunConfig};
use hull_model::time::Timestamp;

use super::changes;
use super::manifest::host_platform;
use super::{Image, ImageError, Images};
use crate::content::Lease;
use crate::error::Result;
use crate::layer::Expected;

/// What an imported image says about itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Dockerfile instructions for its configuration.
    pub changes: Vec<String>,
    /// The comment of its one step.
    pub comment: String,
    /// What it runs on; the host's platform if not given.
    pub platform: Option<Platform>,
    /// When it was made; now if not given. A fixed time makes its id reproducible.
    pub created: Option<Timestamp>,
}

impl Images {
    /// Makes an image of the archive that `source` reads, plain or compressed. It has no name yet.
    pub fn import(&self, source: impl Read, about: &About) -> Result<Arc<Image>> {
        let mut run = RunConfig::default();
        for instruction in &about.changes {
            changes::apply(&mut run, instruction)?;
        }
        let mut lease = self.content.lease();
        let image = self.import_leased(source, about, run, &mut lease);
        self.collect_leased(lease);
        image
    }

    fn import_leased(
        &self,
        source: impl Read,
        about: &About,
        run: RunConfig,
        lease: &mut Lease,
    ) -> Result<Arc<Image>> {
        let mut held = self.layers.lease();
        let mut tee = self.content.ingest()?.tee(source);
        let staged = self.layers.stage(&mut tee, Expected::default())?;
        held.add(staged.diff_id);
        let (diff_id, blob) = (staged.diff_id, tee.into_ingest().commit_leased(lease)?);
        self.layers.commit(staged, None)?;
        let created = about.created.unwrap_or_else(|| Timestamp::from(SystemTime::now()));
        let step = History {
            created: Some(created.to_string()),
            comment: Some(about.comment.clone()).filter(|comment| !comment.is_empty()),
            ..History::default()
        };
        let config = ImageConfig {
            platform: about.platform.clone().unwrap_or_else(host_platform),
            created: Some(created.to_string()),
            author: None,
            config: Some(run),
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![diff_id] },
            history: Some(vec![step]),
        };
        let config = serde_json::to_vec(&config).map_err(ImageError::encode)?;
        let config = self.content.put_leased(&config, lease)?;
        let manifest = self.write_manifest(config, &[blob], lease)?;
        self.add(&manifest)
    }
}
