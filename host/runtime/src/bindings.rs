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
        }
    ",
    world: "hostel:runtime/imports",
    imports: {
        "hostel:handler/events@0.1.0.[method]event.ack": async | trappable,
        "hostel:handler/publisher@0.1.0.publish": async,
        "hostel:handler/events@0.1.0": trappable,
    },
    with: {
        "hostel:handler/events@0.1.0.event": crate::capability::events::Lent,
    },
});
