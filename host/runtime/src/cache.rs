//! Compiled code on disk, so that a component is compiled once for each engine.
//!
//! Compiled code runs outside any sandbox, so that only what this host wrote itself is ever loaded: beside each file
//! of code lies a tag, a keyed hash over the code and what it was made from, under a key that only this host has. The
//! bytes are described in `docs/wire/compile-cache.md`. Nothing here fails a load: what cannot be used is compiled
//! again.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hostel_event::handler::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::runtime::RuntimeError;
use crate::telemetry;

/// What each tag begins with.
const MAGIC: &[u8; 8] = b"hostelCC";
/// The version of the tag's format.
const VERSION: u32 = 1;
/// Bytes of a tag before its hash.
const HEAD: usize = 8 + 4 + 16 + 32 + 8;
/// Bytes of a tag.
const TAG: usize = HEAD + 32;
/// The key's file in the cache's folder.
const KEY_FILE: &str = "key";

type Key = [u8; 32];

/// The folder of one engine's compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    engine_hash: [u8; 16],
    key: Secret,
}

/// Never printed.
struct Secret(Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Why a file of compiled code is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot read `{}`: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("its tag has {0} bytes and not {TAG}")]
    TagLength(usize),
    #[error("it was written by this host for another engine or component, or it was changed")]
    Foreign,
    #[error("wasmtime refuses it: {0}")]
    Refused(String),
}

impl Cache {
    /// Opens or makes the cache's folder and its key.
    pub(crate) fn open(root: &Path, engine: &Engine) -> Result<Self, RuntimeError> {
        let engine_hash = engine_hash(engine);
        let name: String = engine_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let dir = root.join(name);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| RuntimeError::Cache { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir))?;
        let key_path = root.join(KEY_FILE);
        let key = Secret(key(&key_path).map_err(at(&key_path))?);
        Ok(Self { dir, engine_hash, key })
    }

    /// The code of a component, if it is there and this host wrote it.
    pub(crate) fn fetch(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.code_path(digest);
        if !path.exists() {
            return None;
        }
        let code = self.verify(digest).and_then(|()| deserialize(engine, &path));
        code.inspect_err(|reason| telemetry::cached_code_unusable(&path, reason)).ok()
    }

    /// Keeps the code of a component. A failure is only warned of.
    pub(crate) fn store(&self, digest: &Digest, code: &[u8]) {
        let head = self.head(digest, code.len() as u64);
        let hash = blake3::Hasher::new_keyed(&self.key.0).update(&head).update(code).finalize();
        let tag: Vec<u8> = head.into_iter().chain(*hash.as_bytes()).collect();
        // Code first: a crash between the two leaves code whose tag is missing or does not match.
        let written = self
            .write(&self.code_path(digest), code)
            .and_then(|()| self.write(&self.tag_path(digest), &tag))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if let Err(reason) = written {
            telemetry::code_not_cached(digest, &reason);
        }
    }

    fn code_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}.cwasm"))
    }

    fn tag_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}.tag"))
    }

    /// The part of a tag that says what the code was made from.
    fn head(&self, digest: &Digest, length: u64) -> Vec<u8> {
        let mut head = Vec::with_capacity(TAG);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&self.engine_hash);
        head.extend_from_slice(digest.as_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head
    }

    /// Checks the code of a component against its tag.
    fn verify(&self, digest: &Digest) -> Result<(), Unusable> {
        let (code_path, tag_path) = (self.code_path(digest), self.tag_path(digest));
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| Unusable::Read { path, source }
        };
        let tag = fs::read(&tag_path).map_err(read(&tag_path))?;
        let Some((head, hash)) = tag.split_at_checked(HEAD).filter(|_| tag.len() == TAG) else {
            return Err(Unusable::TagLength(tag.len()));
        };
        let mut file = File::open(&code_path).map_err(read(&code_path))?;
        let length = file.metadata().map_err(read(&code_path))?.len();
        if head != self.head(digest, length) {
            return Err(Unusable::Foreign);
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.key.0);
        hasher.update(head).update_reader(&mut file).map_err(read(&code_path))?;
        // Compared by blake3 in constant time.
        match <[u8; 32]>::try_from(hash) {
            Ok(hash) if hasher.finalize() == blake3::Hash::from_bytes(hash) => Ok(()),
            _ => Err(Unusable::Foreign),
        }
    }

    /// Writes a file so that it is there whole or not at all. It replaces one of the same name and never changes it,
    /// since code that was loaded before is still mapped from it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.dir.join(format!("{:016x}.tmp", rand::random::<u64>()));
        let written = create(&temporary, 0o400)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // The first failure is the one to tell of.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// Loads compiled code that [`Cache::verify`] has passed.
#[expect(unsafe_code, reason = "the one place where the host loads its own compiled code")]
fn deserialize(engine: &Engine, path: &Path) -> Result<Component, Unusable> {
    // SAFETY: wasmtime asks that the file is what `Component::serialize` wrote, and that it does not change while it is
    // mapped. The keyed hash shows the first: the key is in a file that only this host's user can read. For the second,
    // the host itself only ever replaces a file by renaming another over it, which leaves the mapped one as it is; the
    // file is read-only in a folder that only this host's user can open, and whoever is that user can change this
    // process in simpler ways.
    unsafe { Component::deserialize_file(engine, path) }.map_err(|error| Unusable::Refused(format!("{error:#}")))
}

/// Reads the key, or makes one. A key that others may read, or that is damaged, is replaced, which makes all files
/// foreign that were written under it.
fn key(path: &Path) -> io::Result<Key> {
    match read_key(path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {
            telemetry::cache_key_replaced(path);
            fs::remove_file(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key: Key = rand::random();
    let temporary = path.with_extension(format!("{:016x}.tmp", rand::random::<u64>()));
    let mut file = create(&temporary, 0o600)?;
    let linked = file.write_all(&key).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(key),
        // Another process of this host was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(path)?.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the key is damaged"))
        }
        Err(error) => Err(error),
    }
}

/// The key in a file, or none if it has another length or others have any right to it.
fn read_key(path: &Path) -> io::Result<Option<Key>> {
    let file = File::open(path)?;
    let others = file.metadata()?.mode() & 0o077;
    let mut bytes = Vec::new();
    file.take(size_of::<Key>() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Key::try_from(bytes).ok().filter(|_| others == 0))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// What makes compiled code fit an engine: wasmtime's version, the target and all settings that matter.
fn engine_hash(engine: &Engine) -> [u8; 16] {
    struct Blake(blake3::Hasher);

    impl Hasher for Blake {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        /// Not used: the whole hash is taken.
        fn finish(&self) -> u64 {
            0
        }
    }

    let mut hasher = Blake(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let mut hash = [0; 16];
    hasher.0.finalize_xof().fill(&mut hash);
    hash
}
