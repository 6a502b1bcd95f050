//! Tests of looking at the watched folder, for the most part of what lies there and should not.

use super::*;

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn anywhere(path: &Path) -> Folder {
    Folder { path: path.to_owned(), links: Links::Anywhere }
}

fn manifest(component: &str) -> String {
    format!("name = 'hello'\ncomponent = '{component}'\nsubscriptions = [{{ pattern = 'a' }}]")
}

#[test]
fn entries_are_folders_with_a_manifest_and_lone_manifests() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "hello/handler.toml", &manifest("build/hello.wasm"));
    write(folder.path(), "hello/build/hello.wasm", "wasm");
    write(folder.path(), "lone.handler.toml", &manifest("lone.wasm"));
    write(folder.path(), "broken/handler.toml", "name = ");
    write(folder.path(), "empty/readme", "");
    write(folder.path(), ".git/handler.toml", "");
    write(folder.path(), "hello.wasm", "");
    let sights = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap();
    assert_eq!(sights.keys().collect::<Vec<_>>(), ["broken", "hello", "lone.handler.toml"]);
    assert_eq!(sights["broken"].component, None);
    let (path, stamp) = sights["hello"].component.as_ref().unwrap();
    assert!(path.ends_with("hello/build/hello.wasm") && stamp.is_some());
    assert_eq!(sights["lone.handler.toml"].component.as_ref().unwrap().1, None, "it is not there yet");
    assert_eq!(look(&anywhere(folder.path()), &sights).unwrap(), sights);
    write(folder.path(), "hello/build/hello.wasm", "other");
    assert_ne!(look(&anywhere(folder.path()), &sights).unwrap()["hello"], sights["hello"]);
}

#[test]
fn what_is_read_is_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "hello/handler.toml", &manifest("hello.wasm"));
    write(folder.path(), "hello/hello.wasm", "wasm");
    let sight = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap()["hello"].clone();
    let version = read(&anywhere(folder.path()), &sight, (100, 100)).ok().unwrap();
    assert_eq!(version.manifest.component, format!("sha256:{}", version.digest));
    assert_eq!(version.bytes, "wasm");
    write(folder.path(), "hello/hello.wasm", "wasm, longer");
    assert_eq!(read(&anywhere(folder.path()), &sight, (100, 100)).err(), Some(Unread::Changed));
}

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let check = |content: &str, limit: usize, expected: (Option<&str>, Code, &str)| {
        write(folder.path(), "hello/handler.toml", content);
        write(folder.path(), "hello/hello.wasm", "wasm");
        let sight = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap()["hello"].clone();
        let Some(Unread::Refused { name, code, text }) = read(&anywhere(folder.path()), &sight, (limit, 100)).err()
        else {
            panic!("refused")
        };
        assert_eq!((name.as_deref(), code, &*text), expected);
    };
    let wrong = "`hello/handler.toml` line 1: unknown key `nam`; did you mean `name`?";
    check("nam = 'hello'", 100, (None, Code::MalformedDocument, wrong));
    let elsewhere = "`hello/handler.toml`: `component` is `../a.wasm`; in a watched folder it lies beside the \
                     manifest or below";
    check(&manifest("../a.wasm"), 100, (Some("hello"), Code::MalformedDocument, elsewhere));
    let missing = "cannot read `hello/a.wasm`: No such file or directory (os error 2)";
    check(&manifest("a.wasm"), 100, (Some("hello"), Code::FileUnreadable, missing));
    let large = "`hello/hello.wasm` has more than 3 bytes, the host's `admin.component_limit`";
    check(&manifest("hello.wasm"), 3, (Some("hello"), Code::ComponentTooLarge, large));
}

#[test]
fn a_link_out_of_a_tenants_folder_is_refused_and_one_inside_is_not() {
    let parent = tempfile::tempdir().unwrap();
    let (acme, rival) = (parent.path().join("acme"), parent.path().join("rival"));
    write(&rival, "secret/hello.wasm", "of the rival");
    write(&rival, "secret/handler.toml", &manifest("hello.wasm"));
    for (entry, component) in [("file", "hello.wasm"), ("absolute", "hello.wasm"), ("inside", "hello.wasm")] {
        write(&acme, &format!("{entry}/handler.toml"), &manifest(component));
    }
    write(&acme, "builds/hello.wasm", "of acme");
    let link = |target: &Path, link: &str| std::os::unix::fs::symlink(target, acme.join(link)).unwrap();
    link(Path::new("../../rival/secret/hello.wasm"), "file/hello.wasm");
    link(&rival.join("secret/hello.wasm"), "absolute/hello.wasm");
    link(Path::new("../builds/hello.wasm"), "inside/hello.wasm");
    link(Path::new("../rival/secret"), "whole");
    let folder = Folder { path: acme.clone(), links: Links::Inside };
    let sights = look(&folder, &BTreeMap::new()).unwrap();
    let refused = |entry: &str| match read(&folder, &sights[entry], (100, 100)).err() {
        Some(Unread::Refused { text, .. }) => text,
        other => panic!("{entry}: {other:?}"),
    };
    for entry in ["file", "absolute"] {
        let expected = format!("cannot read `{entry}/hello.wasm`: a link leads out of the tenant's folder");
        assert_eq!(refused(entry), expected);
    }
    assert_eq!(refused("whole"), "cannot read `whole/handler.toml`: a link leads out of the tenant's folder");
    assert_eq!(read(&folder, &sights["inside"], (100, 100)).ok().unwrap().bytes, "of acme");
    let sights = look(&anywhere(&acme), &BTreeMap::new()).unwrap();
    let operators = read(&anywhere(&acme), &sights["file"], (100, 100));
    assert_eq!(operators.ok().unwrap().bytes, "of the rival");
}

fn refusal(folder: &Folder, sight: &Sight) -> String {
    match read(folder, sight, (100, 100_000)).err() {
        Some(Unread::Refused { text, .. }) => text,
        other => panic!("refused: {other:?}"),
    }
}

/// One pipe once kept the host from looking at anything more, and from ending.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let parent = tempfile::tempdir().unwrap();
    let pipe = |path: &str| {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, parent.path().join(path), mode).unwrap();
    };
    for entry in ["component", "files", "swapped", "whole"] {
        let text = format!("name = 'hello'\ncomponent = 'hello.wasm'\nfiles = '{entry}'");
        write(parent.path(), &format!("{entry}/handler.toml"), &text);
        write(parent.path(), &format!("{entry}/hello.wasm"), "wasm");
    }
    std::fs::remove_file(parent.path().join("component/hello.wasm")).unwrap();
    pipe("component/hello.wasm");
    std::fs::create_dir(parent.path().join("files/files")).unwrap();
    pipe("files/files/pipe");
    pipe("whole/whole");
    pipe("lone.handler.toml");
    for links in [Links::Anywhere, Links::Inside] {
        let folder = Folder { path: parent.path().to_owned(), links };
        let mut sights = look(&folder, &BTreeMap::new()).unwrap();
        assert_eq!(sights.keys().collect::<Vec<_>>(), ["component", "files", "swapped", "whole"]);
        let neither = "cannot read `component/hello.wasm`: it is no plain file; put the file itself there";
        assert_eq!(refusal(&folder, &sights["component"]), neither);
        let neither = "`files/files/pipe` is neither a file nor a folder; put the file itself there";
        assert_eq!(refusal(&folder, &sights["files"]), neither);
        assert_eq!(refusal(&folder, &sights["whole"]), "cannot read `whole/whole`: Not a directory (os error 20)");
        // One that comes after it was looked at.
        let manifest = std::fs::read(parent.path().join("swapped/handler.toml")).unwrap();
        std::fs::remove_file(parent.path().join("swapped/handler.toml")).unwrap();
        pipe("swapped/handler.toml");
        let neither = "cannot read `swapped/handler.toml`: it is no plain file; put the file itself there";
        assert_eq!(refusal(&folder, &sights.remove("swapped").unwrap()), neither);
        std::fs::remove_file(parent.path().join("swapped/handler.toml")).unwrap();
        std::fs::write(parent.path().join("swapped/handler.toml"), manifest).unwrap();
    }
}

#[test]
fn files_are_looked_at_inside_of_a_tenants_folder_alone() {
    let parent = tempfile::tempdir().unwrap();
    let acme = parent.path().join("acme");
    write(parent.path(), "rival/secret", "of the rival");
    for entry in ["out", "in"] {
        write(&acme, &format!("{entry}/handler.toml"), "name = 'hello'\ncomponent = 'hello.wasm'\nfiles = 'assets'");
        write(&acme, &format!("{entry}/hello.wasm"), "wasm");
    }
    write(&acme, "shared/deep/a.txt", "a");
    let link = |target: &str, link: &str| std::os::unix::fs::symlink(target, acme.join(link)).unwrap();
    link("../../rival", "out/assets");
    link("../shared", "in/assets");
    link("../../nowhere", "nobody.handler.toml");
    let folder = Folder { path: acme.clone(), links: Links::Inside };
    let sights = look(&folder, &BTreeMap::new()).unwrap();
    let why = "a link leads out of the tenant's folder";
    assert_eq!(sights["out"].files, Some((acme.join("out/assets"), Err(why.to_owned()))));
    assert_eq!(refusal(&folder, &sights["out"]), format!("cannot read `out/assets`: {why}"));
    // Whether something is there is nobody's to know.
    assert_eq!(refusal(&folder, &sights["nobody.handler.toml"]), format!("cannot read `nobody.handler.toml`: {why}"));
    let Some((_, Ok(seen))) = &sights["in"].files else { panic!("{:?}", sights["in"]) };
    assert_eq!(seen.keys().collect::<Vec<_>>(), [Path::new("deep"), Path::new("deep/a.txt")]);
    assert!(read(&folder, &sights["in"], (100, 100_000)).ok().unwrap().files.is_some());
}

#[test]
fn what_keeps_files_from_being_brought_is_seen_to_change_however_deep_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "hello/handler.toml", "name = 'hello'\ncomponent = 'hello.wasm'\nfiles = 'assets'");
    write(folder.path(), "hello/assets/deep/er/a.txt", "a");
    let link = folder.path().join("hello/assets/deep/er/b.txt");
    std::os::unix::fs::symlink("a.txt", &link).unwrap();
    let before = look(&anywhere(folder.path()), &BTreeMap::new()).unwrap();
    assert!(before["hello"].files.as_ref().unwrap().1.is_err());
    assert_eq!(look(&anywhere(folder.path()), &before).unwrap(), before);
    std::fs::remove_file(&link).unwrap();
    let after = look(&anywhere(folder.path()), &before).unwrap();
    assert!(after["hello"].files.as_ref().unwrap().1.is_ok());
    std::fs::create_dir(&link).unwrap();
    assert_ne!(look(&anywhere(folder.path()), &after).unwrap(), after, "an empty folder is brought along too");
}

#[test]
fn a_tenant_can_have_only_so_much_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        std::fs::create_dir_all(folder.path().join(format!("shared/{number}"))).unwrap();
    }
    for entry in 0..10 {
        let manifest = "name = 'hello'\ncomponent = 'hello.wasm'\nfiles = 'assets'";
        write(folder.path(), &format!("{entry}/handler.toml"), manifest);
        std::os::unix::fs::symlink("../shared", folder.path().join(format!("{entry}/assets"))).unwrap();
    }
    let inside = Folder { path: folder.path().to_owned(), links: Links::Inside };
    let error = look(&inside, &BTreeMap::new()).unwrap_err().to_string();
    assert_eq!(error, "it has more than 100000 entries, counted with the files that they bring along");
    std::fs::remove_dir_all(folder.path().join("9")).unwrap();
    assert_eq!(look(&inside, &BTreeMap::new()).unwrap().len(), 9);
}
