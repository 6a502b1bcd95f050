//! What `wit/` says, as Rust: generated when this crate is compiled.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package hostel:runtime;
        world imports {
            import hostel:handler/types@0.1.0;
            import hostel:handler/events@0.1.0;
            import hostel:handler/publisher@0.1.0;
            import wasi:logging/logging@0.1.0-draft;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
        }
    ",
    world: "hostel:runtime/imports",
    imports: {
        "hostel:handler/events@0.1.0.[method]event.ack": async | trappable,
        "hostel:handler/publisher@0.1.0.publish": async,
        "hostel:handler/events@0.1.0": trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.get": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.set": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.delete": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.exists": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.list-keys": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft": trappable,
        "wasi:keyvalue/atomics@0.2.0-draft.increment": async | trappable,
    },
    with: {
        "hostel:handler/events@0.1.0.event": crate::capability::events::Lent,
        "wasi:keyvalue/store@0.2.0-draft.bucket": crate::capability::key_value::Opened,
    },
});
