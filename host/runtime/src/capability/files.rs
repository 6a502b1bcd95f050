//! The folder that a handler brings along, read-only: where it is, and how much of it may be open at a time.
//!
//! What reads it is WASI's own. Two of its functions are put in the place of theirs: the one that tells a guest of the
//! folder, which is opened once and not for each event, and the one that opens what is in it, since each open file is one
//! of the host's, of which it has only so many.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::{FsPerms, OpenMode};

use crate::state::State;

/// Where a guest finds it.
const PLACE: &str = "/files";
/// Files and folders that one guest may have open at a time. Arbitrary: more than a handler needs, and few enough that
/// several may.
const OPEN_BY_ONE: usize = 16;
/// Files and folders that all guests may have open at a time; one more waits. A quarter of the files that a process may
/// usually have open.
const OPEN: usize = 256;

/// A folder that handlers read. Clones are the same open folder.
#[derive(Clone)]
pub struct Files(Dir);

impl Files {
    /// Opens it.
    ///
    /// # Errors
    /// It is no folder that can be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let opened = std::fs::File::open(folder)?;
        if !opened.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"));
        }
        Ok(Self(Dir::new(opened, FsPerms::ReadOnly, OpenMode::READ, false)))
    }

    /// Whether this is what a guest was told of, which holds nothing open of its own.
    pub(crate) fn is(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor, Descriptor::Dir(dir) if Arc::ptr_eq(&dir.dir, &self.0.dir))
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Files").finish_non_exhaustive()
    }
}

/// What a guest has open, by the number of its resource.
#[derive(Default)]
pub(crate) struct Open(HashMap<u32, OwnedSemaphorePermit>);

impl Open {
    /// Forgets what the guest has closed meanwhile; says whether it may open one more.
    fn may_open(&mut self, table: &ResourceTable) -> bool {
        self.0.retain(|number, _| table.get(&Resource::<Descriptor>::new_borrow(*number)).is_ok());
        self.0.len() < OPEN_BY_ONE
    }
}

/// Puts the two functions in the place of WASI's.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let all = Arc::new(Semaphore::new(OPEN));
    linker.allow_shadowing(true);
    linker.instance("wasi:filesystem/preopens@0.2.12")?.func_wrap(
        "get-directories",
        |mut store: StoreContextMut<'_, State>, (): ()| {
            let state = store.data_mut();
            let Some(Files(dir)) = state.files() else { return Ok((Vec::new(),)) };
            let descriptor = state.table.push(Descriptor::Dir(dir))?;
            Ok((vec![(descriptor, PLACE.to_owned())],))
        },
    )?;
    linker.instance("wasi:filesystem/types@0.2.12")?.func_wrap_async(
        "[method]descriptor.open-at",
        move |store: StoreContextMut<'_, State>, asked: Asked| {
            let all = Arc::clone(&all);
            Box::new(async move { Ok((open(store, asked, all).await?,)) })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What a guest asks to be opened.
type Asked = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

async fn open(
    mut store: StoreContextMut<'_, State>,
    (folder, path_flags, path, open_flags, flags): Asked,
    all: Arc<Semaphore>,
) -> wasmtime::Result<Result<Resource<Descriptor>, ErrorCode>> {
    let state = store.data_mut();
    if !state.open.may_open(&state.table) {
        return Ok(Err(ErrorCode::Busy));
    }
    // The deadline of the event bounds the wait.
    let permit = all.acquire_owned().await?;
    let opened = state.filesystem().open_at(folder, path_flags, path, open_flags, flags).await;
    match opened {
        Ok(descriptor) => {
            state.open.0.insert(descriptor.rep(), permit);
            Ok(Ok(descriptor))
        }
        Err(error) => Ok(Err(error.downcast()?)),
    }
}
