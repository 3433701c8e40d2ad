//! Pulling an image: each layer goes from the network through its digest and its decompression to
//! its files in one pass, some layers at a time, and nothing is visible before it is verified.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use hull_model::image::{Digest, ImageConfig, Platform};
use hull_model::manifest::Descriptor;
use hull_model::reference::Reference;
use hull_registry::{Credentials, Repository, Resolved};
use hull_store::Store;
use hull_store::content::Lease;
use hull_store::layer::{ChainId, Expected, Staged};
use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};
use crate::images::Images;
use crate::records::of_store;

/// Layers fetched at a time, as Docker (`max-concurrent-downloads`).
const LAYERS_AT_A_TIME: usize = 3;
/// Pieces of a layer that wait between the network and the disk.
const PIECES: usize = 16;
/// Longest image configuration.
const CONFIG_MAX: u64 = 4 << 20;

/// What to pull.
#[derive(Clone, Debug)]
pub struct Pull {
    /// By tag or digest.
    pub reference: Reference,
    /// For which platform; `None` for the host's.
    pub platform: Option<Platform>,
    /// Who asks.
    pub credentials: Credentials,
}

/// News of a pull.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The manifest is here; these are the layers.
    Layers(Vec<Digest>),
    /// Something about one layer.
    Layer(Digest, Step),
    /// All is here.
    Done {
        /// What the reference stands for in the registry.
        digest: Digest,
        /// Whether the image was here before.
        known: bool,
    },
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// It is here.
    Exists,
    /// So much of it has come, of so much.
    Downloading(u64, u64),
    /// All has come, it is verified and unpacked.
    Complete,
}

/// The pull's news for whoever asked; whoever does not listen any more cancels by dropping the
/// future, not by closing this.
pub type Listener = mpsc::Sender<Progress>;

impl Images {
    /// Pulls an image. Dropping the future stops it; what was fetched of a layer is kept for the
    /// next attempt.
    pub async fn pull(&self, pull: Pull, listener: Listener) -> Result<Digest> {
        let Pull { reference, platform, credentials } = pull;
        let reference = reference.or_latest();
        let repository =
            self.engine.inner.registry.repository(&reference, credentials).map_err(of_registry)?;
        let platform = platform.unwrap_or_else(hull_store::image::manifest::host_platform);
        let resolved = repository.resolve(&platform).await.map_err(of_registry)?;
        let transfer = Transfer { store: Arc::clone(self.store()), repository, listener };
        let (id, known) = transfer.run(&resolved, &reference).await?;
        self.publish("pull", id, Some(&reference));
        let done = Progress::Done { digest: resolved.digest(), known };
        transfer.tell(done).await;
        Ok(id)
    }
}

struct Transfer {
    store: Arc<Store>,
    repository: Repository,
    listener: Listener,
}

impl Transfer {
    async fn run(&self, resolved: &Resolved, reference: &Reference) -> Result<(Digest, bool)> {
        // Holds every blob until the image names it, so that nothing collects it meanwhile.
        let mut lease = self.store.content.lease();
        let manifest = self.put(resolved.fetched.bytes.clone(), &mut lease).await?;
        let config = self.config(&resolved.manifest.config, &mut lease).await?;
        let chain = ChainId::chain(&config.rootfs.diff_ids);
        if chain.len() != resolved.manifest.layers.len() {
            let text = format!(
                "the manifest has {} layers and the image's configuration {}",
                resolved.manifest.layers.len(),
                chain.len()
            );
            return Err(Error::new(Kind::Invalid, text));
        }
        let digests = resolved.manifest.layers.iter().map(|layer| layer.digest).collect();
        self.tell(Progress::Layers(digests)).await;
        let known = self.store.images.get(&resolved.manifest.config.digest).is_some();
        self.layers(resolved, &config, &chain, &mut lease).await?;
        let (store, reference) = (Arc::clone(&self.store), reference.clone());
        let digest = resolved.digest();
        let added = tokio::task::spawn_blocking(move || {
            let image = store.images.add(&manifest)?;
            if reference.tag().is_some() {
                store.images.tag(&image.id, &untied(&reference))?;
            }
            store.images.add_digest(&image.id, &reference, digest)?;
            drop(lease);
            Ok(image.id)
        });
        let id = added.await.map_err(Error::internal("add the image"))?;
        Ok((id.map_err(of_store("add the image"))?, known))
    }

    /// Fetches all layers, some at a time, and puts each in its place once those below are.
    async fn layers(
        &self,
        resolved: &Resolved,
        config: &ImageConfig,
        chain: &[ChainId],
        lease: &mut Lease,
    ) -> Result<()> {
        let wanted = resolved.manifest.layers.iter().zip(&config.rootfs.diff_ids).zip(chain);
        // Boxed and collected: rustc cannot see that the futures of a lazy closure are `Send`.
        let fetches: Vec<BoxFuture<'_, _>> = wanted
            .map(|((blob, diff_id), chain)| self.layer(blob, *diff_id, *chain).boxed())
            .collect();
        let mut fetched = stream::iter(fetches).buffered(LAYERS_AT_A_TIME);
        let mut parent: Option<ChainId> = None;
        let mut held = self.store.layers.lease();
        for chain in chain {
            held.add(chain.0);
            let Some(layer) = fetched.next().await else { unreachable!("one for each of `chain`") };
            if let Some((staged, layer_lease)) = layer? {
                lease.absorb(layer_lease);
                let store = Arc::clone(&self.store);
                let placed = tokio::task::spawn_blocking(move || {
                    store.layers.commit(staged, parent.as_ref()).map(drop)
                });
                let placed = placed.await.map_err(Error::internal("place a layer"))?;
                placed.map_err(of_store("place a layer"))?;
            }
            parent = Some(*chain);
        }
        Ok(())
    }

    /// Fetches and unpacks one layer; `None` if it is here, archive and files.
    async fn layer(
        &self,
        blob: &Descriptor,
        diff_id: Digest,
        chain: ChainId,
    ) -> Result<Option<(Staged, Lease)>> {
        let here = self.store.layers.get(&chain).is_some()
            && self.store.content.contains(&blob.digest).map_err(of_store("look for a layer"))?;
        if here {
            self.tell(Progress::Layer(blob.digest, Step::Exists)).await;
            return Ok(None);
        }
        let (pieces, receiver) = mpsc::channel(PIECES);
        let store = Arc::clone(&self.store);
        let wanted = blob.clone();
        let (begun, offset) = tokio::sync::oneshot::channel();
        let unpacking = tokio::task::spawn_blocking(move || {
            unpack(&store, &wanted, diff_id, Pieces::new(receiver), begun)
        });
        // No offset: the blob is here already, or unpacking failed and will say how.
        if let Ok(offset) = offset.await {
            self.download(blob, offset, pieces).await?;
        } else {
            drop(pieces);
        }
        let unpacked = unpacking.await.map_err(Error::internal("unpack a layer"))?;
        let unpacked = unpacked.map_err(of_store(format!("unpack layer {}", blob.digest)))?;
        self.tell(Progress::Layer(blob.digest, Step::Complete)).await;
        Ok(Some(unpacked))
    }

    async fn download(
        &self,
        blob: &Descriptor,
        offset: u64,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<()> {
        /// How many bytes come between two messages to the user.
        const TELL_EVERY: u64 = 512 << 10;
        let mut stream = self.repository.fetch_blob(blob, offset);
        let (mut have, mut told) = (offset, offset);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(of_registry)?;
            have += piece.len() as u64;
            if pieces.send(piece).await.is_err() {
                // Unpacking failed; it says why.
                return Ok(());
            }
            if have - told >= TELL_EVERY || have == blob.size {
                told = have;
                self.tell(Progress::Layer(blob.digest, Step::Downloading(have, blob.size))).await;
            }
        }
        Ok(())
    }

    async fn config(&self, blob: &Descriptor, lease: &mut Lease) -> Result<ImageConfig> {
        if blob.size > CONFIG_MAX {
            let text = format!(
                "the image's configuration has {} bytes, more than {CONFIG_MAX}",
                blob.size
            );
            return Err(Error::new(Kind::Invalid, text));
        }
        let mut bytes = Vec::new();
        let stream = hull_registry::verified(self.repository.fetch_blob(blob, 0), blob.digest);
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(of_registry)?);
        }
        let config = serde_json::from_slice(&bytes).map_err(|source| {
            Error::caused(Kind::Invalid, "read the image's configuration", source)
        })?;
        self.put(bytes.into(), lease).await?;
        Ok(config)
    }

    async fn put(&self, bytes: Bytes, lease: &mut Lease) -> Result<Digest> {
        let store = Arc::clone(&self.store);
        let put = tokio::task::spawn_blocking(move || {
            let mut own = store.content.lease();
            let digest = store.content.put_leased(&bytes, &mut own)?;
            Ok((digest, own))
        });
        let (digest, own) = put
            .await
            .map_err(Error::internal("store a document"))?
            .map_err(of_store("store a document"))?;
        lease.absorb(own);
        Ok(digest)
    }

    async fn tell(&self, progress: Progress) {
        // A listener that is gone misses it; see `Listener`.
        self.listener.send(progress).await.unwrap_or_default();
    }
}

/// The name alone, for a reference that has tag and digest.
fn untied(reference: &Reference) -> Reference {
    match reference.tag() {
        Some(tag) => reference.with_tag(tag).unwrap_or_else(|_| unreachable!("it is its own tag")),
        None => reference.clone(),
    }
}

/// Stores and unpacks at once what comes; what an earlier attempt has left is not fetched again.
fn unpack(
    store: &Store,
    blob: &Descriptor,
    diff_id: Digest,
    pieces: Pieces,
    begun: tokio::sync::oneshot::Sender<u64>,
) -> hull_store::Result<(Staged, Lease)> {
    let expected = Expected { blob: None, diff_id: Some(diff_id) };
    let mut lease = store.content.lease();
    lease.add(blob.digest);
    if store.content.contains(&blob.digest)? {
        drop(begun);
        return Ok((store.layers.stage(store.content.read(&blob.digest)?, expected)?, lease));
    }
    let mut ingest = store.content.resume(&blob.digest, Some(blob.size))?;
    let offset = ingest.offset();
    // Whoever waits for it is gone if the pull was cancelled; then nothing comes, and this ends.
    begun.send(offset).unwrap_or_default();
    let mut pieces = pieces;
    if offset == 0 {
        let mut tee = ingest.tee(&mut pieces);
        let staged = match store.layers.stage(&mut tee, expected) {
            Ok(staged) => staged,
            Err(error) => {
                let mut ingest = tee.into_ingest();
                // Bytes that do not unpack are wrong, and no later attempt may build on them.
                if ingest.offset() == blob.size || !pieces.broke_off() {
                    ingest.restart().map_err(hull_store::Error::from)?;
                }
                return Err(error);
            }
        };
        // What follows the archive's end belongs to the blob all the same.
        io::copy(&mut tee, &mut io::sink()).map_err(hull_store::Error::stream)?;
        tee.into_ingest().commit_leased(&mut lease)?;
        return Ok((staged, lease));
    }
    io::copy(&mut pieces, &mut ingest as &mut dyn Write).map_err(hull_store::Error::stream)?;
    ingest.commit_leased(&mut lease)?;
    Ok((store.layers.stage(store.content.read(&blob.digest)?, expected)?, lease))
}

/// What comes from the network, for a thread that reads.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Pieces {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { receiver, current: Bytes::new() }
    }

    /// Whether the sender ended and all it sent was read.
    fn broke_off(&self) -> bool {
        self.current.is_empty() && self.receiver.is_empty() && self.receiver.is_closed()
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// The registry client's failures in the engine's terms; its texts are Docker's already.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn of_registry(error: hull_registry::Error) -> Error {
    use hull_registry::Kind as Registry;
    let kind = match error.kind() {
        Registry::NotFound => Kind::Missing,
        Registry::Unauthorized => Kind::Unauthorized,
        Registry::Limited | Registry::Unavailable => Kind::Unavailable,
        Registry::Invalid => Kind::Invalid,
    };
    Error::new(kind, crate::records::chain(&error))
}
