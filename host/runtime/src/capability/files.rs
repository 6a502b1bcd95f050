//! The folder that a handler brings along, read-only: where it is, and how much of it may be open at a time.
//!
//! What reads it is WASI's own, but for a few functions. The one that tells a guest of the folder: that is opened once
//! and not for each event. Those that open, read by stream and close: each open file is one of the host's, of which it has
//! only so many ([`place`], [`open`]). Those that list a folder: theirs keep the whole of it in memory ([`list`]).
//! What writes is WASI's too, and refuses, since the folder and all that is opened in it are read-only.

mod list;
pub(crate) mod open;
pub(crate) mod place;

use std::io;
use std::path::Path;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemView};
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DirectoryEntry, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::{FsPerms, OpenMode};

use hostel_event::outcome::Level;

use crate::state::State;

use list::List;
use open::{FILES, READERS, Reader, Reading};
use place::Places;

/// Where a guest finds it.
const PLACE: &str = "/files";

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

/// Puts the functions in the place of WASI's.
pub(crate) fn link(linker: &mut Linker<State>, places: &Arc<Places>) -> wasmtime::Result<()> {
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
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store, number| {
        let state = store.data_mut();
        state.table.delete(Resource::<Descriptor>::new_own(number))?;
        if let Some(open) = &mut state.open {
            open.closed(number);
        }
        Ok(())
    })?;
    let places = Arc::clone(places);
    types.func_wrap_async("[method]descriptor.open-at", move |store: StoreContextMut<'_, State>, asked: Asked| {
        let places = Arc::clone(&places);
        Box::new(async move { Ok((open(store, asked, &places).await?,)) })
    })?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, State>, asked: (Resource<Descriptor>, u64)| {
            Ok((read_via_stream(store.data_mut(), asked)?,))
        },
    )?;
    types.resource("directory-entry-stream", ResourceType::host::<List>(), |mut store, number| {
        store.data_mut().table.delete(Resource::<List>::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: StoreContextMut<'_, State>, (folder,): (Resource<Descriptor>,)| {
            Ok((read_directory(store.data_mut(), &folder)?,))
        },
    )?;
    types.func_wrap_async(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: StoreContextMut<'_, State>, (list,): (Resource<List>,)| {
            Box::new(async move {
                let list = store.data_mut().table.get_mut(&list)?;
                let next: Result<Option<DirectoryEntry>, ErrorCode> = list.next().await;
                Ok((next,))
            })
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
    places: &Places,
) -> wasmtime::Result<Result<Resource<Descriptor>, ErrorCode>> {
    let state = store.data_mut();
    let has = state.open.get_or_insert_default();
    let holds_none = has.is_empty();
    let Some(own) = has.one_more() else {
        return Ok(Err(busy(state, &format!("has {FILES} files and folders open, as many as it may"))));
    };
    let place = match places.try_take(&state.handler.tenant) {
        Some(place) => place,
        // The deadline of the event bounds the wait.
        None if holds_none => places.take(&state.handler.tenant).await?,
        None => {
            let why = "may not open one more file now: its tenant, or all tenants together, have as many open as they \
                       may, and only who has none open waits";
            return Ok(Err(busy(state, why)));
        }
    };
    let opened = state.filesystem().open_at(folder, path_flags, path, open_flags, flags).await;
    match opened {
        Ok(descriptor) => {
            state.open.get_or_insert_default().opened(descriptor.rep(), place, own);
            Ok(Ok(descriptor))
        }
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

fn read_via_stream(
    state: &mut State,
    (file, offset): (Resource<Descriptor>, u64),
) -> wasmtime::Result<Result<Resource<DynInputStream>, ErrorCode>> {
    let Some(reader) = reader(state, &file) else { return Ok(Err(ErrorCode::Busy)) };
    match state.filesystem().read_via_stream(file, offset) {
        Ok(stream) => {
            let stream = state.table.delete(stream)?;
            let reading: DynInputStream = Box::new(Reading::new(stream, reader));
            Ok(Ok(state.table.push(reading)?))
        }
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

fn read_directory(
    state: &mut State,
    folder: &Resource<Descriptor>,
) -> wasmtime::Result<Result<Resource<List>, ErrorCode>> {
    let dir = match state.table.get(folder)? {
        Descriptor::Dir(dir) => Arc::clone(&dir.dir),
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    let Some(reader) = reader(state, folder) else { return Ok(Err(ErrorCode::Busy)) };
    Ok(Ok(state.table.push(List::new(dir, reader))?))
}

/// What one more stream or list of a descriptor is to hold; `None`, and a line in the log, if there are too many.
fn reader(state: &mut State, descriptor: &Resource<Descriptor>) -> Option<Reader> {
    let reader = state.open.get_or_insert_default().reader(descriptor.rep());
    if reader.is_none() {
        busy(state, &format!("reads {READERS} files and folders at a time, as many as it may"));
    }
    reader
}

/// The answer to what it may not have more of now. The log says what that is, which a number cannot.
fn busy(state: &State, why: &str) -> ErrorCode {
    state.log.lock().note(Level::Warn, &format!("handler `{}` {why}", state.handler.name));
    ErrorCode::Busy
}
