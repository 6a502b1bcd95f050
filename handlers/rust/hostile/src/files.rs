//! Behaviours that need more of `wasi:filesystem` than Rust's standard library shows: its streams, kept and by the number.

use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/wasi-io-0.2.12",
            "../../../wit/deps/wasi-clocks-0.2.12",
            "../../../wit/deps/wasi-filesystem-0.2.12",
        ],
        inline: "
            package sample:hostile;

            world files {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "sample:hostile/files",
        generate_all,
    });
}

/// Streams that read this file, each of a descriptor of its own that is closed again.
pub(crate) fn hold_streams(path: &str, count: u64) -> hostel::Result {
    as_many(count, |folder| {
        let file = folder.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ)?;
        let stream = file.read_via_stream(0)?;
        drop(file);
        // What was read waits in the host.
        stream.subscribe().block();
        Ok(stream)
    })
}

/// Streams that read this file, all of one descriptor.
pub(crate) fn share_file(path: &str, count: u64) -> hostel::Result {
    let mut file = None;
    as_many(count, |folder| {
        let opened = match file.take() {
            Some(opened) => opened,
            None => folder.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ)?,
        };
        file.insert(opened).read_via_stream(0)
    })
}

/// Lists of what lies in the folder of files, each begun and none read to its end.
pub(crate) fn hold_lists(count: u64) -> hostel::Result {
    as_many(count, |folder| {
        let list = folder.read_directory()?;
        list.read_directory_entry()?;
        Ok(list)
    })
}

/// Rejects with how many of these there were at once.
fn as_many<T>(count: u64, mut make: impl FnMut(&Descriptor) -> Result<T, ErrorCode>) -> hostel::Result {
    let folders = get_directories();
    let Some((folder, _)) = folders.first() else { return Err(hostel::reject("there is no folder")) };
    let mut held = Vec::new();
    while (held.len() as u64) < count {
        match make(folder) {
            Ok(one) => held.push(one),
            Err(code) => return Err(hostel::reject(format!("{} are held: {}", held.len(), code.name()))),
        }
    }
    Err(hostel::reject(format!("{} are held", held.len())))
}
